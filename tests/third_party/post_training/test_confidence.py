"""Thresholds of equal precision, against counting by hand."""

import numpy as np
import pytest

from detectron2.structures import BoxMode
from third_party.post_training.confidence import Scores, confidence_shift, judged
from third_party.post_training.evaluation import Evaluation


def _record(image, *boxes, mode=BoxMode.XYWH_ABS):
    annotations = [{"bbox": b, "bbox_mode": mode, "category_id": c, "iscrowd": crowd} for b, c, crowd in boxes]
    return {"image_id": image, "annotations": annotations}


def _found(image, *rows):
    return {"image_id": image, "instances": [{"bbox": b, "category_id": c, "score": s} for b, c, s in rows]}


def test_right_and_wrong():
    records = [
        _record(1, ([0, 0, 10, 10], 0, 0), ([20, 0, 10, 10], 1, 0), ([50, 50, 40, 40], 0, 1)),
        _record(2, ([5, 5, 15, 15], 0, 0), mode=BoxMode.XYXY_ABS),
        _record(3),
    ]
    predictions = [
        _found(
            1,
            ([0, 0, 10, 9], 0, 0.9),  # finds the first object
            ([0, 0, 10, 10], 0, 0.8),  # which is taken
            ([20, 0, 10, 10], 0, 0.7),  # of another class
            ([20, 0, 10, 4], 1, 0.6),  # overlaps too little
            ([55, 55, 10, 10], 0, 0.5),  # in a crowd: does not count
        ),
        _found(2, ([5, 5, 10, 10], 0, 0.65)),
        _found(3, ([0, 0, 5, 5], 0, 0.1)),
    ]
    found = judged(records, predictions)
    assert found.objects == 3 and found.scores.tolist() == [0.9, 0.8, 0.7, 0.65, 0.6, 0.1]
    assert found.right.tolist() == [True, False, False, True, False, False]
    assert found.precision(0.65) == 0.5 and found.recall(0.65) == pytest.approx(2 / 3)
    assert found.precision(0.95) is None and found.recall(0.95) == 0.0


def _scores(right):
    """Scores .9, .8, ..., right or wrong as told."""
    return Scores(np.array([0.9 - 0.1 * i for i in range(len(right))]).round(3), np.array(right, dtype=bool), 10)


@pytest.mark.parametrize(
    ("right", "wanted", "near", "threshold"),
    [
        ([1, 1, 0, 1, 0, 0], 1.0, 0.85, 0.85),  # has it there
        ([1, 1, 0, 1, 0, 0], 1.0, 0.65, 0.8),  # 2/3 at .7, 1 at .8
        ([1, 1, 0, 1, 0, 0], 0.6, 0.85, 0.5),  # 2/3, 3/4, 3/5 at .5, then 1/2
        ([0, 1, 1, 1], 0.9, 0.7, None),  # never reached
        ([1, 1, 1], 0.5, 0.85, 0.7),  # more everywhere: all detections
        ([1, 0], 0.3, 0.05, 0.05),  # more already, and none is below
    ],
)
def test_the_nearest_threshold_that_keeps_precision(right, wanted, near, threshold):
    found = _scores(right)
    assert found.equal_precision(wanted, near) == (None if threshold is None else pytest.approx(threshold))
    if threshold is not None:
        assert found.precision(threshold) >= wanted


def test_scores_that_are_lower_need_a_lower_threshold():
    generator = np.random.default_rng(0)
    records, before, after = [], [], []
    for image in range(400):
        records.append(_record(image, ([10, 10, 20, 20], 0, 0)))
        score = float(generator.uniform(0.2, 1.0))
        box = [10, 10, 20, 20] if generator.uniform() < score else [60, 60, 20, 20]
        before.append(_found(image, (box, 0, score)))
        after.append(_found(image, (box, 0, score - 0.15)))
    evaluations = [Evaluation("bbox", {}, predictions) for predictions in (before, after)]
    found = confidence_shift(records, *evaluations)
    assert found["iou"] == 0.5 and [curve["name"] for curve in found["curves"]] == ["Float", "Quantized"]
    rows = [row for row in found["rows"] if 0.4 <= row["threshold"] <= 0.8]
    assert len(rows) == 5
    for row in rows:
        assert row["equal"] - row["threshold"] == pytest.approx(-0.15, abs=0.04)
        assert row["recall_equal"] == pytest.approx(row["recall"], abs=0.05)


def test_a_model_that_finds_nothing():
    nothing = Evaluation("bbox", {}, [_found(1)])
    found = confidence_shift([_record(1, ([0, 0, 9, 9], 0, 0))], nothing, nothing)
    assert found["rows"] == [] and set(found["curves"][0]["y"]) == {None}


def test_the_same_scores_keep_their_thresholds():
    records = [_record(image, ([0, 0, 9, 9], 0, 0)) for image in range(9)]
    found = [_found(image, ([0, 0, 9, 9 if image % 3 else 2], 0, 0.1 + image / 10)) for image in range(9)]
    evaluation = Evaluation("bbox", {}, found)
    assert all(row["equal"] == row["threshold"] for row in confidence_shift(records, evaluation, evaluation)["rows"])
