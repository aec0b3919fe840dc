"""The arithmetic of the audit of a calibration set."""

import json
import math

import pytest

from third_party.quantization.ptq.audit import (
    SliceRow,
    balance,
    calibration_curve,
    enough_images,
    slice_warnings,
    worst_slice,
)


def test_distance_of_shares():
    made = balance("classes", {"cat": 30, "dog": 70}, {"cat": 500, "dog": 400, "cow": 100})
    # |.3 - .5| + |.7 - .4| + |0 - .1| over 2
    assert made.distance == pytest.approx(0.3)
    assert made.missing == ("cow",) and made.unbalanced
    first, second = made.warnings()
    assert "distance 0.30" in first and "dog +30%" in first and "lacks classes: cow" in second
    assert json.loads(json.dumps(made.to_dict()))["unbalanced"] is True


def test_equal_shares_are_no_reason_to_warn():
    made = balance("sizes", {"small": 5, "large": 5}, {"small": 500, "large": 500})
    assert made.distance == 0 and made.warnings() == []
    # A small set differs by chance: 6 of 10 against one half is no finding.
    assert not balance("sizes", {"small": 6, "large": 4}, {"small": 500, "large": 500}).unbalanced
    assert balance("sizes", {"small": 600, "large": 400}, {"small": 500, "large": 500}).chance < 0.05
    with pytest.raises(ValueError, match="calibration set has no sizes"):
        balance("sizes", {}, {"small": 1})


def test_curve():
    table = {(1, 0): 10.0, (1, 1): 30.0, (8, 0): 39.9, (8, 1): 40.1, (32, 0): 40.0, (32, 1): 40.0}
    curve = calibration_curve((1, 8, 32), (0, 1), lambda count, seed: table[count, seed])
    assert [point.mean for point in curve] == [20.0, 40.0, 40.0]
    assert curve[0].deviation == pytest.approx(math.sqrt(200))
    assert enough_images(curve) == 8 and enough_images(curve, 0.05) == 32 and enough_images(curve, 30) == 1
    assert enough_images(calibration_curve((1,), (0, 1), lambda _, seed: 50.0 * seed)) is None
    assert calibration_curve((1,), (0,), lambda *_: 1.0)[0].to_dict()["deviation"] is None
    with pytest.raises(ValueError, match="needs seeds"):
        calibration_curve((1,), (), lambda *_: 1.0)


def test_slices():
    rows = [
        SliceRow("day", 90, 40.0, 39.5),
        SliceRow("night", 30, 40.0, 35.0),
        SliceRow("fog", 2, 40.0, 0.0),
        SliceRow("empty", 50, math.nan, math.nan),
    ]
    assert worst_slice(rows).name == "fog" and worst_slice(rows, at_least=10).name == "night"
    assert worst_slice(rows[3:]) is None
    assert slice_warnings(rows, 0.5, 1.0) == ["night (30 images) loses 5.0 AP, the whole set 0.5"]
    assert rows[3].to_dict()["drop"] is None
