"""The step that makes a page of results."""

import json

import pytest

from third_party.post_training.__main__ import main
from third_party.post_training.results import merged

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path):
    """Results of two steps and a picture."""
    row = {"name": "stem.conv", "bits": "W8A8", "loss": 1.5, "change": 0.5}
    table = {"float_loss": 1.0, "quantized_loss": 2.0, "rows": [row], "batches": 1, "seconds": 1.0, "verdict": "so"}
    model = {"architecture": "RetinaNet", "weights": "a.pth"}
    own = {"dataset": "val", "images": 3}
    results = {
        "sensitivity": {"model": model, "sensitivity": table, "warnings": ["one"]},
        "float": {"model": model, "evaluation": own | {"float": {"bbox": {"AP": 41.25}}}},
        "quantized": {"model": model, "evaluation": own | {"quantized": {"bbox": {"AP": 40.0}}}, "warnings": ["two"]},
        "pictures": {"model": model, "pictures": [{"caption": "a picture", "before": "0.png", "after": "1.png"}]},
    }
    for name, result in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(PNG + bytes([number]))
    return tmp_path


def page(folder, *names):
    files = [str(folder / f"{name}.json") for name in names]
    assert main(["report", "--json", *files, "--out", str(folder / "out")]) == 0
    assert [path.name for path in (folder / "out").iterdir()] == ["report.html"]
    return (folder / "out" / "report.html").read_text()


def test_steps_come_together(folder):
    text = page(folder, "sensitivity", "float", "quantized", "pictures")
    for part in ("stem.conv", "41.25", "40.00", "1.25", "one", "two", "a picture", "data:image/png"):
        assert part in text


def test_pictures_that_are_gone_are_left_out(folder):
    (folder / "1.png").unlink()
    text = page(folder, "pictures", "float")
    assert "41.25" in text and "data:image/png" not in text


def test_merging():
    one = {"a": 1, "b": {"c": [1], "files": [1]}, "warnings": ["x"]}
    two = {"a": 2, "b": {"c": [2], "files": [2]}, "warnings": ["y"]}
    assert merged([one, two]) == {"a": 2, "b": {"c": [2], "files": [1, 2]}, "warnings": ["x", "y"]}
    assert one == {"a": 1, "b": {"c": [1], "files": [1]}, "warnings": ["x"]}


def test_mistakes(tmp_path, mistake):
    def run(name, out):
        return mistake(["report", "--json", str(tmp_path / name), "--out", str(out)])

    (tmp_path / "no.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    assert "is no JSON" in run("no.json", tmp_path / "out")
    assert "is no result of a run" in run("list.json", tmp_path / "out")
    assert "absent.json" in run("absent.json", tmp_path / "out")
    assert "cannot be written" in run("no.json", "/proc/out")
    assert not (tmp_path / "out").exists()
