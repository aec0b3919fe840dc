"""Whether a detector was calibrated on the right images."""

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from detectron2.data import MetadataCatalog

from ..quantization.ptq.audit import (
    SliceRow,
    balance,
    calibration_curve,
    enough_images,
    slice_warnings,
    worst_slice,
)
from ..quantization.ptq.recipe import PTQRecipe
from ..quantization.ptq.tuning import TuningSettings
from .calibration import calibrate_detector
from .corruptions import CORRUPTIONS, CorruptedBatches
from .data import DetectionBatches, Record, choose
from .evaluation import Evaluation, evaluate, evaluate_predictions
from .judge import Judge
from .slices import class_counts, size_counts, slices_of

logger = logging.getLogger(__name__)

_SEEDS = (0, 1, 2)
_TOLERANCE = 1.0


def audit_calibration(
    model: nn.Module,
    recipe: PTQRecipe,
    calibration: DetectionBatches,
    judge: Judge,
    *,
    counts: Sequence[int] | None = None,
    seeds: Sequence[int] = _SEEDS,
    columns: Sequence[str] | None = None,
) -> dict[str, Any]:
    """All audits of a calibration set.

    Each point of the curve and each corruption is a calibration or an evaluation of its own: choose a judge of few
    images. Nothing is tuned, as that takes minutes each time.

    Args:
        model: in floating point; it stays so.
        recipe: how it is quantized.
        calibration: what it is calibrated on.
        judge: rates it.
        counts: numbers of images of the curve; by default 1, 4, 16, ... and all.
        seeds: draws of images for each.
        columns: of the annotation file, by which the data set is cut into parts; None for all.

    Returns:
        plain values: balance, curve, slices, out_of_domain, corruptions, warnings.
    """
    before = judge.before or judge.rate(model)
    judge.before = before
    quantized = _calibrated(model, recipe, calibration)
    after = judge.rate(quantized)
    warnings: list[str] = []
    found = {
        "balance": balance_audit(calibration.records, judge, warnings),
        "slices": slice_audit(judge, before, after, warnings, columns),
        "curve": curve_audit(model, recipe, calibration, judge, warnings, counts, seeds),
        "out_of_domain": domain_audit(model, recipe, calibration, judge, after),
        "corruptions": corruption_audit(model, quantized, judge, warnings),
    }
    return found | {"warnings": warnings}


def balance_audit(calibration: Sequence[Record], judge: Judge, warnings: list[str]) -> list[dict[str, Any]]:
    """Classes and sizes of the calibration set against those that the model is judged on."""
    names = MetadataCatalog.get(judge.dataset).thing_classes
    made = [
        balance("classes", class_counts(calibration, names), class_counts(judge.records, names)),
        balance("sizes", size_counts(calibration), size_counts(judge.records)),
    ]
    warnings += [warning for one in made for warning in one.warnings()]
    return [one.to_dict() for one in made]


def slice_audit(
    judge: Judge, before: Evaluation, after: Evaluation, warnings: list[str], columns: Sequence[str] | None = None
) -> dict[str, Any]:
    """AP of each class and each part of the data, float and quantized."""
    images = [record["image_id"] for record in judge.records]
    rows = []
    for name, members in slices_of(judge.dataset, images, columns).items():
        aps = [evaluate_predictions(judge.dataset, one.predictions, members).ap for one in (before, after)]
        if math.isnan(aps[1]) and not math.isnan(aps[0]):
            aps[1] = 0.0  # not one detection
        rows.append(SliceRow(name, len(members), *aps))
    classes = [
        SliceRow(f"class={name}", len(images), value, after.per_class().get(name, float("nan")))
        for name, value in before.per_class().items()
    ]
    overall = before.ap - after.ap
    warnings += slice_warnings([*rows, *classes], overall, _TOLERANCE)
    worst = worst_slice(rows, at_least=min(10, len(images)))
    return {
        "overall_drop": None if overall != overall else overall,
        "rows": [row.to_dict() for row in rows],
        "classes": [row.to_dict() for row in classes],
        "worst": None if worst is None else worst.to_dict(),
    }


def curve_audit(
    model: nn.Module,
    recipe: PTQRecipe,
    calibration: DetectionBatches,
    judge: Judge,
    warnings: list[str],
    counts: Sequence[int] | None = None,
    seeds: Sequence[int] = _SEEDS,
) -> dict[str, Any]:
    """AP against the number of calibration images, for several draws."""
    most, found = len(calibration.records), list[float]()
    if counts is None:
        counts = [count for count in (1, 4, 16, 64, 256) if count < most] + [most]

    def measure(count: int, seed: int) -> float:
        if count == most and found:
            return found[0]  # all images are the same images in every draw
        some = calibration.subset(choose(calibration.records, count, seed))
        ap = judge.rate(_calibrated(model, recipe, some)).ap
        logger.info("Calibrated on %d images, draw %d: AP %.2f", count, seed, ap)
        if count == most:
            found.append(ap)
        return ap

    curve = calibration_curve(counts, seeds, measure)
    enough = enough_images(curve)
    if enough is None or (enough == counts[-1] and len(counts) > 1):
        warnings.append(f"AP still moves with the number of calibration images at {counts[-1]}: use more")
    return {"points": [point.to_dict() for point in curve], "enough": enough}


def domain_audit(
    model: nn.Module, recipe: PTQRecipe, calibration: DetectionBatches, judge: Judge, after: Evaluation
) -> list[dict[str, Any]]:
    """AP after calibration on images of another domain: the calibration set, corrupted."""
    rows: list[dict[str, Any]] = [{"calibration": "as it is", "ap": after.ap}]
    for name in CORRUPTIONS:
        quantized = _calibrated(model, recipe, CorruptedBatches(calibration, name))
        rows.append({"calibration": name, "ap": judge.rate(quantized).ap})
    return rows


def corruption_audit(model: nn.Module, quantized: nn.Module, judge: Judge, warnings: list[str]) -> list[dict[str, Any]]:
    """AP on corrupted images, float against quantized."""
    rows = []
    for name in CORRUPTIONS:
        batches = CorruptedBatches(judge.batches, name)
        rows.append(
            SliceRow(f"corruption={name}", len(judge.records), *(evaluate(m, batches).ap for m in (model, quantized)))
        )
    overall = (judge.before.ap - judge.rate(quantized).ap) if judge.before is not None else 0.0
    warnings += slice_warnings(rows, overall, _TOLERANCE, at_least=1)
    return [row.to_dict() for row in rows]


def _calibrated(model: nn.Module, recipe: PTQRecipe, batches: DetectionBatches) -> nn.Module:
    changed = copy.deepcopy(model)
    calibrate_detector(changed, replace(recipe, tuning=TuningSettings()), batches)
    return changed.eval()
