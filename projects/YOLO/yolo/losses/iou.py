"""Overlap of aligned boxes: IoU and its relatives GIoU, DIoU, CIoU, EIoU and SIoU.

All take boxes ``(x0, y0, x1, y1)`` of one unit and return a similarity of at most 1; the loss is ``1 - similarity``.
``EPS`` stands in every quotient and in the heights, so values and gradients stay finite for empty and identical boxes.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

EPS = 1e-7


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union, ``|A ∩ B| / |A ∪ B|``.

    Args:
        boxes1: ``Tensor[..., 4]``, corners.
        boxes2: ``Tensor[..., 4]``, broadcast against ``boxes1``.

    Returns:
        ``Tensor[...]`` in [0, 1], at least float32.
    """
    return _iou_and_union(_full(boxes1), _full(boxes2))[0]


def generalized_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """``IoU - |C \\ (A ∪ B)| / |C|`` with the hull C (Rezatofighi et al., 1902.09630, algorithm 1).

    Args and returns as in ``box_iou``, in [-1, 1].
    """
    boxes1, boxes2 = _full(boxes1), _full(boxes2)
    iou, union = _iou_and_union(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    area = width * height + EPS
    return iou - (area - union) / area


def distance_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """``IoU - d^2 / c^2``: centre distance over the hull's diagonal (Zheng et al., 1911.08287, eq. 7).

    Args and returns as in ``box_iou``, in [-1, 1].
    """
    boxes1, boxes2 = _full(boxes1), _full(boxes2)
    return _iou_and_union(boxes1, boxes2)[0] - _centre_term(boxes1, boxes2)


def complete_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """``DIoU - alpha v``, ``v = 4 / pi^2 (atan w2/h2 - atan w1/h1)^2``, ``alpha = v / (1 - IoU + v)``.

    Zheng et al., 1911.08287, eq. 8 to 11. ``alpha`` is a constant for the gradient.
    Args and returns as in ``box_iou``.
    """
    boxes1, boxes2 = _full(boxes1), _full(boxes2)
    iou = _iou_and_union(boxes1, boxes2)[0]
    aspect = (4 / math.pi**2) * (_angle(boxes2) - _angle(boxes1)).square()
    with torch.no_grad():
        weight = aspect / ((1 - iou).clamp(min=0) + aspect + EPS)
    return iou - _centre_term(boxes1, boxes2) - weight * aspect


def efficient_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """``DIoU - (w1 - w2)^2 / cw^2 - (h1 - h2)^2 / ch^2`` with the hull's sides (Zhang et al., 2101.08158, eq. 9).

    Args and returns as in ``box_iou``.
    """
    boxes1, boxes2 = _full(boxes1), _full(boxes2)
    (width1, height1), (width2, height2) = _sides(boxes1), _sides(boxes2)
    width, height = _hull(boxes1, boxes2)
    sides = (width1 - width2).square() / (width.square() + EPS)
    sides = sides + (height1 - height2).square() / (height.square() + EPS)
    return _iou_and_union(boxes1, boxes2)[0] - _centre_term(boxes1, boxes2) - sides


def scylla_iou(boxes1: Tensor, boxes2: Tensor, theta: float = 4.0) -> Tensor:
    """``IoU - (Delta + Omega) / 2``: costs of angle, distance and shape (Gevorgyan, 2205.12740).

    Angle ``L = 1 - 2 sin^2(asin(dy / d) - pi / 4)``, which is ``2 |dx| |dy| / d^2``; distance
    ``Delta = sum_t 1 - exp(-(2 - L) rho_t)`` with ``rho_x = (dx / cw)^2``; shape
    ``Omega = sum_s (1 - exp(-|s1 - s2| / max(s1, s2)))^theta`` over the sides s.

    Args:
        boxes1: ``Tensor[..., 4]``, corners.
        boxes2: ``Tensor[..., 4]``, broadcast against ``boxes1``.
        theta: weight of the shape, 2 to 6 in the paper.

    Returns:
        ``Tensor[...]`` of at most 1.
    """
    boxes1, boxes2 = _full(boxes1), _full(boxes2)
    dx, dy = _centre_offset(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    angle = 2 * dx.abs() * dy.abs() / (dx.square() + dy.square() + EPS)
    distance = torch.zeros_like(angle)
    for offset, side in ((dx, width), (dy, height)):
        distance = distance + 1 - torch.exp((angle - 2) * offset.square() / (side.square() + EPS))
    shape = torch.zeros_like(angle)
    for side1, side2 in zip(_sides(boxes1), _sides(boxes2), strict=True):
        relative = (side1 - side2).abs() / (torch.maximum(side1, side2).clamp(min=0) + EPS)
        shape = shape + (1 - torch.exp(-relative)) ** theta
    return _iou_and_union(boxes1, boxes2)[0] - (distance + shape) / 2


OVERLAPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": box_iou,
    "giou": generalized_iou,
    "diou": distance_iou,
    "ciou": complete_iou,
    "eiou": efficient_iou,
    "siou": scylla_iou,
}


def _full(boxes: Tensor) -> Tensor:
    """Half precision has no room for the squares of pixels."""
    return boxes if boxes.dtype == torch.float64 else boxes.float()


def _sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1] + EPS


def _angle(boxes: Tensor) -> Tensor:
    width, height = _sides(boxes)
    return torch.atan(width / torch.where(height == 0, EPS, height))


def _iou_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    inner = torch.minimum(boxes1[..., 2:], boxes2[..., 2:]) - torch.maximum(boxes1[..., :2], boxes2[..., :2])
    intersection = inner.clamp(min=0).prod(dim=-1)
    (width1, height1), (width2, height2) = _sides(boxes1), _sides(boxes2)
    union = width1 * height1 + width2 * height2 - intersection + EPS
    return intersection / union, union


def _hull(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    outer = torch.maximum(boxes1[..., 2:], boxes2[..., 2:]) - torch.minimum(boxes1[..., :2], boxes2[..., :2])
    return outer[..., 0], outer[..., 1]


def _centre_offset(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    offset = (boxes2[..., :2] + boxes2[..., 2:] - boxes1[..., :2] - boxes1[..., 2:]) / 2
    return offset[..., 0], offset[..., 1]


def _centre_term(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    dx, dy = _centre_offset(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    return (dx.square() + dy.square()) / (width.square() + height.square() + EPS)
