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
from detectron2.evaluation.coco_evaluation import _load_coco, _with_category_ids

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


class DropIntervals:
    """The AP of boxes that models lose against one model, by a paired bootstrap over the images.

    All are rated on the same images, drawn with replacement (percentile interval; Efron and Tibshirani, "An
    Introduction to the Bootstrap", chapter 13). It says what other images of the same kind would do to the figure, and
    nothing of other calibration sets. The first model is rated once, however many are compared with it.

    Args:
        truth: ground truth.
        before: detections of the first model in COCO's result format.
        images: ids of those that count.
        samples: how many times images are drawn.
        seed: of the draws.
    """

    def __init__(
        self,
        truth: COCO,
        before: Sequence[dict[str, Any]],
        images: Sequence[Any],
        *,
        samples: int = 300,
        seed: int = 0,
    ) -> None:
        self.truth, self.images = truth, images
        self._counts: np.ndarray | None = None
        if len(images) > 1:
            shares = np.full(len(images), 1 / len(images))
            self._counts = np.random.default_rng(seed).multinomial(len(images), shares, samples)
            self._before = average_precisions(truth, before, images, self._counts)

    @classmethod
    def of(cls, dataset: str, before: Evaluation) -> "DropIntervals":
        """Of an evaluation on a registered data set."""
        truth = _load_coco(MetadataCatalog.get(dataset).json_file)
        return cls(truth, _records(dataset, before), [prediction["image_id"] for prediction in before.predictions])

    def evaluated(self, dataset: str, after: Evaluation) -> Interval | None:
        """:meth:`interval` of an evaluation of the same images."""
        return self.interval(_records(dataset, after))

    def interval(self, after: Sequence[dict[str, Any]], *, confidence: float = 0.95) -> Interval | None:
        """What a model loses.

        Args:
            after: its detections in COCO's result format.
            confidence: between 0 and 1.

        Returns:
            None with fewer than two images, or where an AP is not defined.
        """
        if self._counts is None:
            return None
        drops = 100 * (self._before - average_precisions(self.truth, after, self.images, self._counts))
        drops = drops[np.isfinite(drops)]
        if not len(drops):
            return None
        low, high = np.quantile(drops, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(float(low), float(high), confidence, len(drops))


def _records(dataset: str, evaluation: Evaluation) -> list[dict[str, Any]]:
    """All detections with the data set's own class ids."""
    found = [record for prediction in evaluation.predictions for record in prediction.get("instances", ())]
    return _with_category_ids(found, MetadataCatalog.get(dataset))


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
