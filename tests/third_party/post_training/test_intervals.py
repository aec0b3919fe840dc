"""A bootstrap sample's AP is the AP of a data set in which images occur as often."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from third_party.post_training.intervals import DropIntervals, average_precisions

IMAGES, CLASSES = 6, 3


def _box(rng):
    return [*rng.uniform(0, 60, 2).tolist(), *rng.uniform(10, 40, 2).tolist()]


def _data(seed=0):
    rng = np.random.default_rng(seed)
    objects, found = [], []
    for image in range(1, IMAGES + 1):
        for _ in range(5):
            box, category = _box(rng), int(rng.integers(1, CLASSES + 1))
            objects.append(
                {"image_id": image, "category_id": category, "bbox": box, "iscrowd": int(rng.random() < 0.1)}
            )
            moved = [*(np.array(box) + rng.normal(0, 2, 4)).tolist()]
            found.append({"image_id": image, "category_id": category, "bbox": moved, "score": float(rng.random())})
        found.append({"image_id": image, "category_id": 1, "bbox": _box(rng), "score": float(rng.random())})
    return objects, found


def _coco(objects, images):
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in images],
        "categories": [{"id": i, "name": str(i)} for i in range(1, CLASSES + 1)],
        "annotations": [{**o, "id": n, "area": o["bbox"][2] * o["bbox"][3]} for n, o in enumerate(objects, 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _ap(coco, found):
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats[0]


def _repeated(records, counts):
    """Records with each image as often as ``counts`` says, under new ids."""
    return [{**r, "image_id": 100 * r["image_id"] + k} for r in records for k in range(counts[r["image_id"] - 1])]


@pytest.mark.parametrize("counts", [[1] * IMAGES, [2, 0, 1, 3, 0, 0], [0, 0, 0, 0, 0, 6]])
def test_counts_stand_for_repeated_images(counts):
    objects, found = _data()
    images = range(1, IMAGES + 1)
    repeated = _repeated(objects, counts)
    coco = _coco(repeated, sorted({r["image_id"] for r in repeated}))
    expected = _ap(coco, _repeated(found, counts))
    (got,) = average_precisions(_coco(objects, images), found, images, np.array([counts]))
    assert got == pytest.approx(expected, abs=1e-9) and 0.05 < got < 0.95


def test_an_interval_holds_the_drop_and_shrinks_with_confidence():
    objects, found = _data()
    worse = [{**r, "score": 1 - r["score"]} for r in found]
    coco = _coco(objects, range(1, IMAGES + 1))
    drop = 100 * (_ap(coco, found) - _ap(coco, worse))
    wide, narrow = (
        DropIntervals(coco, found, range(1, IMAGES + 1), samples=200).interval(worse, confidence=confidence)
        for confidence in (0.95, 0.5)
    )
    assert wide.low < drop < wide.high and wide.samples == 200
    assert wide.low < narrow.low < narrow.high < wide.high


def test_equal_models_and_too_few_images():
    objects, found = _data()
    coco, images = _coco(objects, range(1, IMAGES + 1)), range(1, IMAGES + 1)
    intervals = DropIntervals(coco, found, images, samples=20)
    same = intervals.interval(found)
    assert same.low == same.high == 0
    assert intervals.interval([]).low > 0
    assert DropIntervals(coco, found, [1]).interval(found) is None
