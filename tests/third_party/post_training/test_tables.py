from third_party.post_training.command import print_summary
from third_party.post_training.tables import print_files_and_warnings

RESULT = {
    "export": {"files": [{"file": "model.onnx", "bytes": 3 * 2**19, "target": "generic"}]},
    "warnings": ["use more images", "no AP is known"],
}
LINES = ["model.onnx              1.50 MiB", "warning: use more images", "warning: no AP is known"]


def test_files_and_warnings_are_a_line_each(capsys):
    print_files_and_warnings(RESULT)
    assert capsys.readouterr().out.splitlines() == LINES
    print_files_and_warnings({"model": {}})
    assert capsys.readouterr().out == ""


def test_a_summary_ends_with_them(capsys):
    evaluation = {"float": {"bbox": {"AP": 40.0}}, "quantized": {"bbox": {"AP": None}}}
    print_summary(RESULT | {"evaluation": evaluation})
    assert capsys.readouterr().out.splitlines() == [
        "AP float                40.00",
        "AP quantized            none",
        *LINES,
    ]
