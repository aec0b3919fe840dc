"""Regression losses shared by the detection heads."""

import torch
from torch import Tensor
from torch.nn import functional as F

from detectron2.layers.losses import _reduce


def smooth_l1_loss(input: Tensor, target: Tensor, beta: float, reduction: str = "none") -> Tensor:
    """L1 loss whose kink is replaced by a parabola where the error is below ``beta`` (Fast R-CNN, eq. 3).

    Args:
        input, target: tensors of one shape.
        beta: width of the quadratic zone; anything under 1e-5 means plain L1.
        reduction: "none", "mean" or "sum". The mean over nothing is 0.
    """
    if beta < 1e-5:  # dividing by a tiny beta would make NaN of zero gradients
        return _reduce((input - target).abs(), reduction)
    return _reduce(F.smooth_l1_loss(input, target, reduction="none", beta=beta), reduction)


def giou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - GIoU of paired boxes (Rezatofighi et al., "Generalized Intersection over Union", eq. 3).

    Args:
        boxes1, boxes2: ``Tensor[..., 4]`` in XYXY order.
        reduction: "none", "mean" or "sum". The mean over nothing is 0.
        eps: added to the denominators.
    """
    overlap = torch.minimum(boxes1[..., 2:], boxes2[..., 2:]) - torch.maximum(boxes1[..., :2], boxes2[..., :2])
    hull = torch.maximum(boxes1[..., 2:], boxes2[..., 2:]) - torch.minimum(boxes1[..., :2], boxes2[..., :2])
    areas = (boxes1[..., 2:] - boxes1[..., :2]).prod(-1) + (boxes2[..., 2:] - boxes2[..., :2]).prod(-1)
    intersection, hull_area = overlap.clamp(min=0).prod(-1), hull.prod(-1)
    union = areas - intersection
    giou = intersection / (union + eps) - (hull_area - union) / (hull_area + eps)
    return _reduce(1 - giou, reduction)
