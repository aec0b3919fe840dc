"""``tools/check_dataset.py`` as a command: its exit status and what it prints."""

import json

import pytest

check_dataset = pytest.importorskip("tools.check_dataset")

from .conftest import Shapes  # noqa: E402


def test_good_data(shapes: Shapes, capsys):
    arguments = [shapes.file("train"), "--images", str(shapes.root / "train")]
    arguments += ["--test", shapes.file("val"), "--test-images", str(shapes.root / "val")]
    assert check_dataset.main(arguments) == 0
    said = capsys.readouterr().out
    assert "6 images" in said
    assert "triangle" in said


def test_broken_data(shapes: Shapes, tmp_path, capsys):
    content = json.loads(open(shapes.file("train")).read())
    content["annotations"][0]["category_id"] = 77
    content["images"][1]["file_name"] = "absent.png"
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(content))
    assert check_dataset.main([str(path), "--images", str(shapes.root / "train"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert "absent.png" in json.dumps(report)
    assert "77" in json.dumps(report)


def test_absent_file(tmp_path, capsys):
    assert check_dataset.main([str(tmp_path / "absent.json")]) == 1
    assert "absent.json" in capsys.readouterr().err
