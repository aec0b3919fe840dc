"""How sure a difference of AP on a limited number of images is."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detectron2.data import MetadataCatalog
from detectron2.utils.file_io import PathManager

from .evaluation import Evaluation

_ALL_AREAS = [0, 1e10]
_LIMIT = 100


@dataclass(frozen=True)
class Interval:
    """Where a figure lies.

    Attributes:
        low, high: its ends, in percent of AP.
        confidence: how often such intervals hold the figure.
        samples: that they were found with.
    """

    low: float
    high: float
    confidence: float
    samples: int


def evaluated_interval(dataset: str, before: Evaluation, after: Evaluation) -> Interval | None:
    """:func:`drop_interval` of two evaluations of the same images of a registered data set."""
    metadata = MetadataCatalog.get(dataset)
    ids = {place: found for found, place in metadata.get("thing_dataset_id_to_contiguous_id", {}).items()}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(PathManager.get_local_path(metadata.json_file))
    found_before, found_after = (
        [
            {**record, "category_id": ids.get(record["category_id"], record["category_id"])}
            for prediction in evaluation.predictions
            for record in prediction.get("instances", ())
        ]
        for evaluation in (before, after)
    )
    return drop_interval(
        truth, found_before, found_after, [prediction["image_id"] for prediction in before.predictions]
    )


def drop_interval(
    truth: COCO,
    before: Sequence[dict[str, Any]],
    after: Sequence[dict[str, Any]],
    images: Sequence[Any],
    *,
    samples: int = 300,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """The AP of boxes that is lost between two models, by a paired bootstrap over the images.

    Both models are rated on the same images, drawn with replacement (percentile interval; Efron and Tibshirani, "An
    Introduction to the Bootstrap", chapter 13). It says what other images of the same kind would do to the figure, and
    nothing of other calibration sets.

    Args:
        truth: ground truth.
        before, after: detections of the two models in COCO's result format.
        images: ids of those that count.
        samples: how many times images are drawn.
        confidence: between 0 and 1.
        seed: of the draws.

    Returns:
        None with fewer than two images, or where an AP is not defined.
    """
    if len(images) < 2:
        return None
    counts = np.random.default_rng(seed).multinomial(len(images), np.full(len(images), 1 / len(images)), samples)
    found = [average_precisions(truth, detections, images, counts) for detections in (before, after)]
    drops = 100 * (found[0] - found[1])
    drops = drops[np.isfinite(drops)]
    if not len(drops):
        return None
    low, high = np.quantile(drops, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), confidence, len(drops))


def average_precisions(
    truth: COCO, detections: Sequence[dict[str, Any]], images: Sequence[Any], counts: np.ndarray
) -> np.ndarray:
    """COCO's AP of boxes, 0 to 1, with every image counted so many times.

    Args:
        truth: ground truth.
        detections: in COCO's result format.
        images: ids.
        counts: int[S, len(images)], one row a sample.

    Returns:
        float[S]; NaN where a sample has no object.
    """
    if not detections:
        return np.zeros(len(counts))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(truth, truth.loadRes(list(map(dict, detections))), "bbox")
        evaluator.params.imgIds = list(images)
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [_ALL_AREAS], ["all"]
        evaluator.params.maxDets = [_LIMIT]
        evaluator.evaluate()
    places = {image: place for place, image in enumerate(images)}
    of_classes = [_of_class(own, places, counts, evaluator.params.recThrs) for own in _by_class(evaluator)]
    known = [found for found in of_classes if found is not None]
    if not known:
        return np.full(len(counts), np.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(known, axis=0) / np.isfinite(known).sum(axis=0))


def _by_class(evaluator: COCOeval) -> Iterator[list[dict[str, Any]]]:
    """What the images say of each class: matches and scores as pycocotools found them."""
    classes = len(evaluator.params.catIds)
    each = len(evaluator.evalImgs) // max(classes, 1)
    for number in range(classes):
        yield [found for found in evaluator.evalImgs[number * each : (number + 1) * each] if found is not None]


def _of_class(
    found: list[dict[str, Any]], places: dict[Any, int], counts: np.ndarray, recalls: np.ndarray
) -> np.ndarray | None:
    """AP of one class over the IoU thresholds, float[S]; NaN where a sample lacks the class, None where all do."""
    objects = np.zeros(len(places))
    for one in found:
        objects[places[one["image_id"]]] += int((np.asarray(one["gtIgnore"]) == 0).sum())
    if not objects.any():
        return None
    total = counts @ objects
    scores = np.concatenate([np.asarray(one["dtScores"], dtype=float)[:_LIMIT] for one in found])
    order = np.argsort(-scores, kind="stable")
    owners = np.concatenate([np.full(len(one["dtScores"][:_LIMIT]), places[one["image_id"]]) for one in found])[order]
    matched = np.concatenate([one["dtMatches"][:, :_LIMIT] for one in found], axis=1)[:, order] > 0
    judged = ~np.concatenate([one["dtIgnore"][:, :_LIMIT] for one in found], axis=1)[:, order].astype(bool)
    weights = counts[:, owners]
    result = np.zeros(len(counts))
    for right, counted in zip(matched & judged, ~matched & judged, strict=True):
        result += _interpolated(np.cumsum(weights * right, 1), np.cumsum(weights * counted, 1), total, recalls)
    return np.where(total > 0, result / len(matched), np.nan)


def _interpolated(right: np.ndarray, wrong: np.ndarray, total: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Mean over the recalls of the best precision at that recall or above, float[S]."""
    precision = right / np.maximum(right + wrong, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.concatenate([precision, np.zeros((len(precision), 1))], axis=1)
    recall = right / np.maximum(total, 1)[:, None]
    return np.array(
        [row[np.searchsorted(own, recalls, "left")].mean() for row, own in zip(precision, recall, strict=True)]
    )
