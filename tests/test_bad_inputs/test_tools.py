"""Tools called with bad arguments."""

import json

import pytest

from tests.test_bad_inputs.material import annotation, coco, image
from tools import check_dataset, demo, visualize_data, visualize_json_results

RESULT = {"image_id": 5, "category_id": 7, "bbox": [1, 2, 10, 20], "score": 0.9}


def without(entry, key):
    return {k: v for k, v in entry.items() if k != key}


REPORTED = {
    "broken": ("{", "no valid JSON"),
    "image twice": (coco(images=[image(), image()]), "5"),
    "missing picture": (coco(images=[image(file_name="absent.png")]), "absent.png"),
    "other size": (coco(images=[image(height=99)]), "a.png"),
    "inverted box": (coco(annotations=[annotation(bbox=[9, 9, -3, 4])]), "-3"),
    "box with NaN": (coco(annotations=[annotation(bbox=[float("nan"), 9, 3, 4])]), "nan"),
    "no such image": (coco(annotations=[annotation(image_id=99)]), "99"),
    "no such category": (coco(annotations=[annotation(category_id=98)]), "98"),
}


@pytest.mark.parametrize("case", REPORTED)
def test_check_dataset_reports(case, dataset, capsys):
    content, message = REPORTED[case]
    path = dataset.write(content)
    assert check_dataset.main([path, "--images", str(dataset.images)]) == 1
    printed = capsys.readouterr().out
    assert "ERROR" in printed and message in printed and path in printed


@pytest.mark.parametrize("arguments", [["absent.json"], ["annotations.json", "--images", "absent"]])
def test_check_dataset_of_nothing(arguments, dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert check_dataset.main(arguments) == 1
    assert "absent" in capsys.readouterr().err


RESULTS = {
    "missing": (None, FileNotFoundError, "results.json does not exist"),
    "broken": ("[{", ValueError, "results.json is not valid JSON"),
    "annotations": (coco(), ValueError, "results.json is no COCO results file"),
    "no score": ([without(RESULT, "score")], ValueError, "results.json is no COCO results file"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_results_that_cannot_be_drawn(case, dataset, tmp_path):
    content, kind, message = RESULTS[case]
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    name = dataset.register()
    with pytest.raises(kind, match=message):
        visualize_json_results.main(["--input", str(path), "--output", str(tmp_path / "out"), "--dataset", name])
    assert not (tmp_path / "out").exists()


def test_results_of_a_data_set_that_is_misspelt(dataset, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps([RESULT]))
    dataset.register()
    with pytest.raises(KeyError, match="'bad_input' is not registered; close names: bad_inputs"):
        visualize_json_results.main(
            ["--input", str(tmp_path / "results.json"), "--output", str(tmp_path), "--dataset", "bad_input"]
        )


@pytest.mark.parametrize("source", ["absent.png", "folder", "broken.png"])
def test_demo_without_pictures(source, dataset, tmp_path):
    cfg = dataset.config(tmp_path / "out")
    (tmp_path / "cfg.yaml").write_text(cfg.dump())
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.png").write_bytes(b"broken")
    with pytest.raises(OSError, match=source):
        demo.main(
            [
                "--config-file",
                str(tmp_path / "cfg.yaml"),
                "--input",
                str(tmp_path / source),
                "--output",
                str(tmp_path / "drawn"),
            ]
        )


@pytest.mark.parametrize("tool", [demo, visualize_data, visualize_json_results, check_dataset])
def test_arguments_that_a_tool_does_not_have(tool, capsys):
    with pytest.raises(SystemExit) as error:
        tool.main(["--no-such-argument"])
    assert error.value.code == 2
    assert "usage:" in capsys.readouterr().err
