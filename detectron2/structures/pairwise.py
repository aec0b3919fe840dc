"""Measures between two sets of boxes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from detectron2.layers.wrappers import check_if_dynamo_compiling

if TYPE_CHECKING:
    from detectron2.structures.boxes import Boxes


_CACHED_PAIRS = 1 << 16


def pairwise_intersection(boxes1: "Boxes", boxes2: "Boxes") -> Tensor:
    """Areas shared by each box of one set (N) and each of another (M), ``Tensor[N, M]``."""
    return _intersection(boxes1.tensor[:, None], boxes2.tensor[None])


def pairwise_iou(boxes1: "Boxes", boxes2: "Boxes") -> Tensor:
    """Intersection over union of all N x M pairs, ``Tensor[N, M]``; 0 where nothing is shared."""
    first, second = boxes1.tensor, boxes2.tensor
    rows = _rows_at_once(first, second)
    if rows is None:
        return _iou_rows(first, second)
    iou = first.new_empty(len(first), len(second))
    second = second.t().contiguous().t()  # the x0 of all boxes beside each other, and so on: whole vectors are read
    for start in range(0, len(first), rows):
        iou[start : start + rows] = _iou_rows(first[start : start + rows], second)
    return iou


def pairwise_ioa(boxes1: "Boxes", boxes2: "Boxes") -> Tensor:
    """Intersection over the area of the second box of all N x M pairs, ``Tensor[N, M]``."""
    return _share(pairwise_intersection(boxes1, boxes2), boxes2.area())


def matched_pairwise_iou(boxes1: "Boxes", boxes2: "Boxes") -> Tensor:
    """Intersection over union of the i-th boxes of two sets, ``Tensor[N]``.

    Raises:
        ValueError: sets of different sizes.
    """
    if len(boxes1) != len(boxes2):
        raise ValueError(f"matched_pairwise_iou wants as many boxes on both sides, got {len(boxes1)} and {len(boxes2)}")
    shared = _intersection(boxes1.tensor, boxes2.tensor)
    return _share(shared, boxes1.area() + boxes2.area() - shared)


def pairwise_point_box_distance(points: Tensor, boxes: "Boxes") -> Tensor:
    """Distances of points to the sides of boxes; a point is inside where all four are positive.

    Args:
        points: ``Tensor[P, 2]`` of (x, y).
        boxes: M boxes.

    Returns:
        ``Tensor[P, M, 4]``: to the left, top, right and bottom side.
    """
    point = points[:, None]
    return torch.cat([point - boxes.tensor[:, :2], boxes.tensor[:, 2:] - point], dim=2)


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    """Shared areas of boxes ``Tensor[..., 4]`` that broadcast against each other."""
    width = _overlap(first[..., 0], first[..., 2], second[..., 0], second[..., 2])
    return width.mul_(_overlap(first[..., 1], first[..., 3], second[..., 1], second[..., 3]))


def _rows_at_once(first: Tensor, second: Tensor) -> int | None:
    """How many rows of a large matrix a CPU's cache holds with their intermediates; None to compute all at once."""
    if first.device.type != "cpu" or check_if_dynamo_compiling():
        return None
    if torch.is_grad_enabled() and (first.requires_grad or second.requires_grad):
        return None
    if len(first) * len(second) <= 2 * _CACHED_PAIRS:
        return None
    return max(1, _CACHED_PAIRS // len(second))


def _iou_rows(first: Tensor, second: Tensor) -> Tensor:
    shared = _intersection(first[:, None], second[None])
    return _share(shared, (_area(first)[:, None] + _area(second)).sub_(shared))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _overlap(start1: Tensor, end1: Tensor, start2: Tensor, end2: Tensor) -> Tensor:
    # in place where the operand is new: the matrices are large, and fresh memory costs more than the arithmetic
    return torch.minimum(end1, end2).sub_(torch.maximum(start1, start2)).clamp_(min=0)


def _share(shared: Tensor, whole: Tensor) -> Tensor:
    """``shared / whole``, and 0 rather than NaN for boxes without extent."""
    return torch.where(shared > 0, shared / whole, 0.0)
