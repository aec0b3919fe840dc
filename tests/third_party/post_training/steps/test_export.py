"""The step that writes files."""

import json

import pytest

from third_party.deploy.compiled import CompileError
from third_party.post_training.__main__ import main
from third_party.post_training.steps import export

pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")


@pytest.fixture(scope="module")
def float_file(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("float") / "results"
    assert main(prepared.arguments("export", "--no-nms", "--out", folder)) == 0
    return folder / "model.onnx"


def test_files_of_a_quantized_detector(exported):
    import onnx

    names = {"model.pt2", "model_onnxruntime.onnx"}
    assert {path.name for path in exported.iterdir()} == names
    result = json.loads((exported.parent / "export.json").read_text())
    assert {file["file"]: file["bytes"] for file in result["export"]["files"]} == {
        path.name: path.stat().st_size for path in exported.iterdir()
    }
    assert result["export"]["form"] == "suppressed" and set(result["export"]["findings"]) == {"onnxruntime"}
    assert result["layers"]["totals"]["bytes_quantized"] < 0.35 * result["layers"]["totals"]["bytes_float"]
    graph = onnx.load(exported / "model_onnxruntime.onnx").graph
    assert {"QuantizeLinear", "NonMaxSuppression"} <= {node.op_type for node in graph.node}


def test_float_weights_give_a_float_file(float_file, prepared, tmp_path):
    import onnx

    pytest.importorskip("onnxruntime")
    graph = onnx.load(float_file).graph
    assert not {"QuantizeLinear", "NonMaxSuppression"} & {node.op_type for node in graph.node}
    more = ("--file", float_file, "--engine", "onnxruntime", "--json", tmp_path / "a.json")
    assert main(prepared.arguments("parity", *more)) == 0
    (engine,) = json.loads((tmp_path / "a.json").read_text())["export"]["engines"]
    assert engine["parity"]["tensors"] == [] and engine["parity"]["batches"] == 1
    ratios = [one["ratio"] for one in engine["parity"]["outputs"] if not one["chosen"]]
    assert len(ratios) == 2 and max(ratios) < 1e-4


@pytest.fixture
def untraced(monkeypatch):
    """Files are written without a detector in them; what is asked of the compiler is noted."""
    asked = []
    monkeypatch.setattr(export, "traced_form", lambda parts, form: form)
    monkeypatch.setattr(export, "write_targets", lambda *_: {"files": [], "findings": {}})

    def compiled(parts, form, path):
        asked.append((parts.name, form))
        path.write_bytes(b"code")
        return 1e-6

    monkeypatch.setattr(export, "compile_form", compiled)
    return asked


def test_suppression_is_not_compiled(untraced, prepared, tmp_path, capsys):
    for form in ("suppressed", "dense"):
        assert main(prepared.arguments("export", "--compile", "--form", form, "--out", tmp_path / form)) == 0
        assert [path.name for path in (tmp_path / form).iterdir()] == ["model.aoti.pt2"]
    assert untraced == [("RetinaNet", "detector"), ("RetinaNet", "dense")]
    assert "compiled form detector; it differs from the model by 1e-06" in capsys.readouterr().out


def test_a_compiler_that_fails_leaves_nothing(untraced, prepared, tmp_path, mistake, monkeypatch):
    def failing(*_):
        raise CompileError("no compiler")

    monkeypatch.setattr(export, "compile_form", failing)
    given = prepared.arguments("export", "--compile", "--out", tmp_path / "results")
    assert "no compiler" in mistake(given) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target", "onnxruntime,onx"], "a target must be one of generic, onnxruntime, openvino, tensorrt, got onx"),
        (["--target", ","], "got nothing"),
        (["--weights", "absent.pth"], "absent.pth do not exist"),
        (["--cfg", "MODEL.RETINANET.NUM_CLASSES", "7"], "weights of another model"),
    ],
)
def test_mistakes(prepared, mistake, tmp_path, more, message):
    assert message in mistake(prepared.arguments("export", "--out", tmp_path / "results", *more))
    assert list(tmp_path.iterdir()) == []
