"""Losses on overlapping boxes."""

import math

import torch
from torch import Tensor


def diou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """``1 - IoU + d^2 / c^2``: overlap and centre distance (Zheng et al., Distance-IoU Loss, eq. 7).

    Args:
        boxes1: predictions, ``Tensor[N, 4]`` in (x0, y0, x1, y1).
        boxes2: targets, ``Tensor[N, 4]``.
        reduction: "none", "mean" or "sum". The mean over no boxes is 0.
        eps: keeps the quotients finite.

    Returns:
        ``Tensor[N]``, or a scalar.

    Raises:
        ValueError: another ``reduction``.
    """
    return _reduce(1 - _iou(boxes1, boxes2, eps) + _centre_distance(boxes1, boxes2, eps), reduction)


def ciou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """``diou_loss`` with a term for the aspect ratio (Zheng et al., Distance-IoU Loss, eq. 10).

    Args and returns as there. The term's weight is a constant for the gradient (eq. 12).
    """
    iou = _iou(boxes1, boxes2, eps)
    width1, height1 = (boxes1[:, 2:] - boxes1[:, :2]).unbind(1)
    width2, height2 = (boxes2[:, 2:] - boxes2[:, :2]).unbind(1)
    angle = torch.atan(width2 / height2) - torch.atan(width1 / height1)
    aspect = 4 / math.pi**2 * angle**2
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect + eps)
    return _reduce(1 - iou + _centre_distance(boxes1, boxes2, eps) + weight * aspect, reduction)


def _iou(boxes1: Tensor, boxes2: Tensor, eps: float) -> Tensor:
    """IoU of each pair of rows, ``Tensor[N]``."""
    overlap = torch.minimum(boxes1[:, 2:], boxes2[:, 2:]) - torch.maximum(boxes1[:, :2], boxes2[:, :2])
    intersection = overlap.clamp(min=0).prod(dim=1)
    area1 = (boxes1[:, 2:] - boxes1[:, :2]).prod(dim=1)
    area2 = (boxes2[:, 2:] - boxes2[:, :2]).prod(dim=1)
    return intersection / (area1 + area2 - intersection + eps)


def _centre_distance(boxes1: Tensor, boxes2: Tensor, eps: float) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the hull, ``Tensor[N]``."""
    hull = torch.maximum(boxes1[:, 2:], boxes2[:, 2:]) - torch.minimum(boxes1[:, :2], boxes2[:, :2])
    offset = (boxes1[:, :2] + boxes1[:, 2:] - boxes2[:, :2] - boxes2[:, 2:]) / 2
    return offset.square().sum(dim=1) / (hull.square().sum(dim=1) + eps)


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.mean() if loss.numel() > 0 else 0.0 * loss.sum()
    raise ValueError(f'reduction is "none", "mean" or "sum", got {reduction!r}')
