"""How quantization moves scores: the threshold that keeps the float model's precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectron2.structures import BoxMode

from .data import Record
from .evaluation import Evaluation

_THRESHOLDS = tuple(number / 10 for number in range(1, 10))
_CURVE = tuple(number / 50 for number in range(50))


@dataclass(frozen=True)
class Scores:
    """Detections of a model on a data set, as right or wrong.

    Attributes:
        scores: in falling order, ``array[D]``.
        right: whether each finds an object that none before it has found, ``array[D]``.
        objects: how many objects there are.
    """

    scores: np.ndarray
    right: np.ndarray
    objects: int

    def precision(self, threshold: float) -> float | None:
        """Share of the detections of at least this score that are right; None if there is none."""
        count = int((self.scores >= threshold).sum())
        return float(self.right[:count].mean()) if count else None

    def recall(self, threshold: float) -> float | None:
        """Share of the objects that detections of at least this score find; None if there are no objects."""
        return float(self.right[self.scores >= threshold].sum() / self.objects) if self.objects else None

    def equal_precision(self, wanted: float, near: float) -> float | None:
        """The threshold nearest to ``near`` at which precision passes ``wanted``, and is no less.

        ``near`` itself, where it has this precision; None if no threshold on that side reaches it.
        """
        have = self.precision(near)
        if have == wanted:
            return near
        cuts = np.unique(self.scores)
        precisions = np.array([self.right[self.scores >= cut].mean() for cut in cuts])
        enough = precisions >= wanted
        if have is not None and have > wanted:
            below = cuts < near
            falls = np.flatnonzero(below & ~enough)
            kept = below & enough & (np.arange(len(cuts)) > (falls[-1] if len(falls) else -1))
            return float(cuts[kept][0]) if kept.any() else near
        above = cuts[(cuts > near) & enough]
        return float(above[0]) if len(above) else None


def confidence_shift(
    records: Sequence[Record], before: Evaluation, after: Evaluation, *, iou: float = 0.5
) -> dict[str, Any]:
    """What becomes of score thresholds that were chosen for the float model.

    Args:
        records: the images that both were evaluated on, with their annotations.
        before, after: evaluations in float and quantized.
        iou: least overlap at which a detection finds an object of its class.

    Returns:
        plain values: ``iou``; ``rows`` with ``threshold``, ``precision`` and ``recall`` of the float model at it,
        ``precision_kept`` of the quantized one at the same, ``equal``, the threshold that gives it the float model's
        precision, and its ``recall_equal`` there; ``curves``, precision over thresholds.
    """
    was, now = (judged(records, one.predictions, iou) for one in (before, after))
    rows = [_row(was, now, threshold) for threshold in _THRESHOLDS]
    curves = [
        {"name": name, "x": list(_CURVE), "y": [one.precision(x) for x in _CURVE]}
        for name, one in (("Float", was), ("Quantized", now))
    ]
    return {"iou": iou, "rows": [row for row in rows if row["precision"] is not None], "curves": curves}


def _row(was: Scores, now: Scores, threshold: float) -> dict[str, float | None]:
    precision = was.precision(threshold)
    equal = None if precision is None else now.equal_precision(precision, threshold)
    return {
        "threshold": threshold,
        "precision": precision,
        "recall": was.recall(threshold),
        "precision_kept": now.precision(threshold),
        "equal": equal,
        "recall_equal": None if equal is None else now.recall(equal),
    }


def judged(records: Sequence[Record], predictions: Sequence[dict[str, Any]], iou: float = 0.5) -> Scores:
    """Detections as right or wrong: in falling order of scores, each takes the object of its class it overlaps most.

    Detections that mostly lie in a crowd, and find nothing else, count neither way, as in COCO's evaluation.
    """
    found = {prediction["image_id"]: prediction.get("instances", ()) for prediction in predictions}
    scores: list[float] = []
    right: list[bool] = []
    objects = 0
    for record in records:
        annotations = record.get("annotations", ())
        objects += sum(not annotation.get("iscrowd", 0) for annotation in annotations)
        detections = sorted(found.get(record["image_id"], ()), key=lambda one: -one["score"])
        for detection, verdict in zip(detections, _verdicts(detections, annotations, iou), strict=True):
            if verdict is not None:
                scores.append(detection["score"])
                right.append(verdict)
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    return Scores(np.asarray(scores, dtype=float)[order], np.asarray(right, dtype=bool)[order], objects)


def _verdicts(
    detections: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]], iou: float
) -> list[bool | None]:
    truth = [(_box(annotation), annotation) for annotation in annotations]
    free = [not annotation.get("iscrowd", 0) for annotation in annotations]
    verdicts: list[bool | None] = []
    for detection in detections:
        box, best, chosen, ignored = np.asarray(detection["bbox"], dtype=float), iou, None, False
        for index, (other, annotation) in enumerate(truth):
            if annotation["category_id"] != detection["category_id"]:
                continue
            crowd = bool(annotation.get("iscrowd", 0))
            overlap = _overlap(box, other, crowd)
            ignored |= crowd and overlap >= iou
            if free[index] and overlap >= best:
                best, chosen = overlap, index
        if chosen is not None:
            free[chosen] = False
        verdicts.append(True if chosen is not None else None if ignored else False)
    return verdicts


def _box(annotation: dict[str, Any]) -> np.ndarray:
    mode = annotation.get("bbox_mode", BoxMode.XYWH_ABS)
    return np.asarray(BoxMode.convert(list(annotation["bbox"]), mode, BoxMode.XYWH_ABS), dtype=float)


def _overlap(box: np.ndarray, other: np.ndarray, crowd: bool) -> float:
    """Intersection over union of boxes (x, y, width, height); of a crowd, over the box alone."""
    sides = np.minimum(box[:2] + box[2:], other[:2] + other[2:]) - np.maximum(box[:2], other[:2])
    common = float(np.prod(np.maximum(sides, 0.0)))
    whole = float(np.prod(box[2:])) if crowd else float(np.prod(box[2:]) + np.prod(other[2:])) - common
    return common / whole if whole > 0 else 0.0
