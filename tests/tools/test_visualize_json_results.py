"""``tools/visualize_json_results.py`` on a results file."""

import json

import numpy as np
import pytest
from PIL import Image

from detectron2.data import DatasetCatalog, MetadataCatalog
from tools import visualize_json_results

from .conftest import Shapes


@pytest.fixture
def results(shapes: Shapes, tmp_path):
    """The ground truth of the first picture as predictions, one of them of low score."""
    truth = json.loads(open(shapes.file("val")).read())["annotations"]
    rows = [
        {"score": 0.9, **{k: a[k] for k in ("image_id", "category_id", "bbox", "segmentation")}}
        for a in truth
        if a["image_id"] == 1
    ]
    rows.append({**rows[0], "score": 0.1, "bbox": [0, 0, 90, 60]})
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture(autouse=True)
def registered_names():
    """Forgets what a test registers."""
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def run(shapes: Shapes, path, out, *more: str) -> None:
    data = ["--json-file", shapes.file("val"), "--image-root", str(shapes.root / "val")]
    visualize_json_results.main(["--input", str(path), "--output", str(out), *data, *more])


def test_predictions_above_ground_truth(shapes: Shapes, results, tmp_path):
    run(shapes, results, tmp_path / "out")
    pictures = {p.name: np.asarray(Image.open(p)).astype(int) for p in (tmp_path / "out").iterdir()}
    assert {name: p.shape for name, p in pictures.items()} == {f"00000{i}.png": (128, 96, 3) for i in range(2)}
    # the second picture has no predictions, so its upper half is the picture alone
    plain = np.asarray(Image.open(shapes.root / "val" / "000001.png").convert("RGB")).astype(int)
    assert abs(pictures["000001.png"][:64] - plain).max() <= 2
    assert abs(pictures["000001.png"][64:] - plain).max() > 30
    assert abs(pictures["000000.png"][:64] - np.asarray(Image.open(shapes.root / "val/000000.png"))).max() > 30


def test_threshold_and_boxes_without_masks(shapes: Shapes, results, tmp_path):
    rows = [{k: v for k, v in row.items() if k != "segmentation"} for row in json.loads(results.read_text())]
    results.write_text(json.dumps(rows))
    drawn = []
    for threshold in ("0.05", "0.5", "0.95"):
        run(shapes, results, tmp_path / threshold, "--dataset", f"json_{threshold}", "--conf-threshold", threshold)
        drawn.append(np.asarray(Image.open(tmp_path / threshold / "000000.png"))[:64].astype(int))
    plain = np.asarray(Image.open(shapes.root / "val/000000.png").convert("RGB")).astype(int)
    changed = [int((abs(d - plain).max(axis=2) > 2).sum()) for d in drawn]
    assert changed[0] > changed[1] > changed[2] == 0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", "not valid JSON"),
        ('{"a": 1}', "no COCO results file"),
        ('[{"image_id": 1}]', "score"),
        ('[{"image_id": 1, "category_id": 77, "score": 0.9, "bbox": [1, 1, 5, 5]}]', "category_id 77"),
        ('[{"image_id": 99, "category_id": 1, "score": 0.9, "bbox": [1, 1, 5, 5]}]', "image_id 99"),
    ],
)
def test_wrong_results(shapes: Shapes, tmp_path, content, error):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=error):
        run(shapes, path, tmp_path / "out")


def test_absent_results(shapes: Shapes, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.json"):
        run(shapes, tmp_path / "absent.json", tmp_path / "out")
