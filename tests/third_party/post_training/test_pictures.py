"""Pairs of pictures."""

import numpy as np
from PIL import Image

from detectron2.data import MetadataCatalog
from third_party.post_training.evaluation import Evaluation
from third_party.post_training.pictures import draw_pictures


def _evaluation(box, score):
    instances = [
        {"bbox": box, "category_id": 0, "score": score},
        {"bbox": [0, 0, 4, 4], "category_id": 0, "score": 0.1},
    ]
    return Evaluation("bbox", {}, [{"image_id": 7, "instances": instances}])


def test_boxes_are_drawn_where_each_model_has_them(tmp_path):
    MetadataCatalog.get("pictures_of_nothing").thing_classes = ["cell"]
    Image.new("RGB", (400, 300), (128, 128, 128)).save(tmp_path / "a <b>.png")
    record = {"image_id": 7, "file_name": str(tmp_path / "a <b>.png"), "annotations": [{}]}
    bare = {"image_id": 8, "file_name": str(tmp_path / "missing.png"), "annotations": []}
    before, after = _evaluation([40, 60, 80, 100], 0.9), _evaluation([240, 60, 80, 100], 0.8)
    pairs = draw_pictures("pictures_of_nothing", [bare, record], before, after, tmp_path, longest=200)
    assert pairs == [{"caption": "a <b>.png", "before": "pictures/0_before.png", "after": "pictures/0_after.png"}]
    for key, left, other in (("before", 20, 120), ("after", 120, 20)):
        pixels = np.asarray(Image.open(tmp_path / pairs[0][key]).convert("RGB")).astype(int)
        assert pixels.shape == (150, 200, 3)
        drawn = np.abs(pixels - 128).max(-1) > 40
        assert drawn[30:80, left - 2 : left + 3].any(1).mean() > 0.9 and not drawn[40:70, other - 2 : other + 3].any()
        assert not drawn[:10, :10].any(), "detections of low scores are left out"
