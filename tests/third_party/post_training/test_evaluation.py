"""Agreement of two models, without ground truth."""

import math

import pytest

from third_party.post_training.evaluation import Evaluation, agreement


def _evaluation(*records):
    """One image a record: (class, box, score)."""
    return Evaluation(
        "bbox",
        {"bbox": {"AP": 0.0}},
        [
            {"image_id": i, "instances": [{"image_id": i, "category_id": c, "bbox": list(b), "score": s}]}
            for i, (c, b, s) in enumerate(records)
        ],
    )


BOX = (10.0, 10.0, 40.0, 40.0)
FLOAT = _evaluation((0, BOX, 0.9), (0, BOX, 0.8), (1, BOX, 0.7), (1, BOX, 0.2))


def test_the_same_detections_agree():
    assert agreement(FLOAT, FLOAT) == pytest.approx(100.0)


def test_what_is_lost_counts_by_class():
    # Class 0 finds one of two at every threshold, so precision is 1 up to recall 1/2: 51 of 101 points. Class 1 agrees.
    other = _evaluation((0, BOX, 0.9), (2, BOX, 0.8), (1, BOX, 0.7))
    assert agreement(FLOAT, other) == pytest.approx((51 / 101 + 1) / 2 * 100, abs=0.01)


def test_boxes_that_moved_agree_at_lower_thresholds_only():
    moved = (10.0, 10.0, 40.0, 32.0)  # overlap 0.8: above 0.5, 0.55, ..., 0.75 and, exactly, 0.8
    other = _evaluation((0, moved, 0.9), (0, moved, 0.8), (1, moved, 0.7))
    assert agreement(FLOAT, other) == pytest.approx(70.0, abs=0.01)


def test_nothing_to_agree_on():
    assert math.isnan(agreement(_evaluation((0, BOX, 0.1)), FLOAT))
    assert agreement(FLOAT, Evaluation("bbox", {}, [])) == 0.0
