"""Choosing the best rows, in as many rows as were asked for whatever the data."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from .suppression import SUPPRESSED, suppress


class PaddedDetections(NamedTuple):
    """Detections in D rows an image, best first; rows from ``counts`` on are padding.

    Args:
        boxes: ``Tensor[N, D, 4]``, corners in pixels; padding 0.
        scores: ``Tensor[N, D]``; padding 0.
        classes: int64 ``Tensor[N, D]``; padding -1.
        counts: int64 ``Tensor[N]``, how many each image has.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    counts: Tensor


# Traced programs that return it can be written to files.
pytree._register_namedtuple(PaddedDetections, serialized_type_name="third_party.deploy.PaddedDetections")


def gather_rows(x: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (int64 ``Tensor[N, D]``) of each image of ``Tensor[N, P, B]``: ``Tensor[N, D, B]``."""
    return x.gather(1, index.unsqueeze(2).expand(-1, -1, x.shape[2]))


def top_rows(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest of each image, best first.

    Args:
        scores: ``Tensor[N, P]`` above ``SUPPRESSED``, any number of them.
        count: rows wanted.

    Returns:
        ``Tensor[N, count]`` of scores, ``SUPPRESSED`` where there are none left, and int64 ``Tensor[N, count]`` of
        their places; a place without a score is 0.
    """
    best, index = F.pad(scores, (0, count), value=SUPPRESSED).topk(count, dim=1)
    return best, torch.where(best > SUPPRESSED, index, 0)


def detections(
    boxes: Tensor,
    scores: Tensor,
    *,
    iou_threshold: float,
    score_threshold: float,
    max_detections: int,
    class_agnostic: bool = False,
) -> PaddedDetections:
    """Suppress class by class and keep the best.

    Args:
        boxes: ``Tensor[N, P, 4]``, corners in pixels, or ``Tensor[N, P, K, 4]``, one for each class.
        scores: ``Tensor[N, P, K]``.
        iou_threshold: overlap (IoU) above which a worse box is suppressed; 1 suppresses none.
        score_threshold: detections have a higher score.
        max_detections: rows D of the result.
        class_agnostic: boxes of different classes suppress each other too; only the best class of a box counts.

    Returns:
        the detections; of equal scores the box that comes first in ``boxes`` is first, then the lower class.
    """
    num_classes, by_class = scores.shape[2], boxes.dim() == 4
    class_agnostic = class_agnostic and iou_threshold < 1
    kept = scores
    if class_agnostic:
        kept, best_class = scores.max(dim=2, keepdim=True)
    if iou_threshold < 1:
        kept = _suppressed(boxes, kept, iou_threshold, score_threshold, max_detections)
    else:
        kept = torch.where(kept > score_threshold, kept, SUPPRESSED)
    best, place = top_rows(kept.flatten(1), max_detections)
    if class_agnostic:
        row, label = place, best_class.squeeze(2).gather(1, place)
    else:
        row, label = place.div(num_classes, rounding_mode="floor"), place.remainder(num_classes)
    chosen = gather_rows(boxes.flatten(1, 2), place) if by_class else gather_rows(boxes, row)
    return padded(chosen, best, label)


def _suppressed(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, rows: int) -> Tensor:
    """Scores ``Tensor[N, P, K]`` after suppression within each class."""
    kept = scores.transpose(1, 2).contiguous()
    if boxes.dim() == 4:  # the operator's boxes are shared by the classes of an image: let each class be an image
        boxes = boxes.transpose(1, 2).flatten(0, 1)
        kept = kept.flatten(0, 1).unsqueeze(1)
    kept = suppress(boxes, kept, iou_threshold=iou_threshold, score_threshold=score_threshold, max_per_class=rows)
    if kept.shape[1] != scores.shape[2]:
        kept = kept.squeeze(1).unflatten(0, (-1, scores.shape[2]))
    return kept.transpose(1, 2)


def padded(boxes: Tensor, scores: Tensor, classes: Tensor) -> PaddedDetections:
    """Detections of rows, those with the score ``SUPPRESSED`` being padding: ``[N, D, 4]``, ``[N, D]``, ``[N, D]``."""
    found = scores > SUPPRESSED
    return PaddedDetections(
        torch.where(found.unsqueeze(2), boxes, 0.0),
        torch.where(found, scores, 0.0),
        torch.where(found, classes, -1),
        found.sum(dim=1),
    )
