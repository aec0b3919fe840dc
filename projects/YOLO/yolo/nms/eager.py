"""Suppression in plain PyTorch: what the native kernels are tested against, and what runs where they are missing.

All images take their next detection in the same step, so there are as many steps as the fullest image has detections.
"""

import math

import torch
from torch import Tensor


def _best_first(
    scores: Tensor, score_threshold: float, max_candidates: int, multi_label: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (N, A, K) -> scores, -inf from the last candidate on, anchors and classes, each (N, C), best first."""
    images, anchors, classes = scores.shape
    above = scores > scores.new_tensor(score_threshold)  # False for NaN
    scores = torch.where(above, scores, -math.inf)
    if not multi_label and classes > 0:
        scores, best = scores.max(2)
        index = torch.arange(anchors, device=scores.device) * classes + best
    else:
        index = torch.arange(anchors * classes, device=scores.device).expand(images, -1)
    order = scores.flatten(1).argsort(dim=1, descending=True, stable=True)[:, :max_candidates]
    index = index.gather(1, order)
    return scores.flatten(1).gather(1, order), index // max(classes, 1), index % max(classes, 1)


def _iou(first: Tensor, boxes: Tensor) -> Tensor:
    """IoU of (N, 1, 4) with (N, C, 4), in torchvision's order of operations; NaN where there is no area."""
    area, areas = ((b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (first, boxes))
    low = torch.maximum(first[..., :2], boxes[..., :2])
    high = torch.minimum(first[..., 2:], boxes[..., 2:])
    inter = (high - low).clamp(min=0).prod(2)
    return inter / (area + areas - inter)


def _take_row(values: Tensor, at: Tensor) -> Tensor:
    """Row ``at`` (N, 1) of each (N, C, ...), as (N, 1, ...)."""
    return torch.take_along_dim(values, at.view(-1, 1, *[1] * (values.dim() - 2)), 1)


def nms_padded(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    iou_threshold: float,
    score_threshold: float,
    max_candidates: int,
    max_detections: int,
    class_agnostic: bool,
    multi_label: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See :func:`..functional.nms_padded`. The host waits for the device on CPU only, where it stops early."""
    dense = scores.float() if labels is None else scores.float().unsqueeze(2)
    ranked, anchors, classes = _best_first(dense, score_threshold, max_candidates, multi_label)
    classes = classes if labels is None else labels.gather(1, anchors)
    corners = torch.take_along_dim(boxes.float(), anchors.unsqueeze(2), 1)
    images, rows = len(boxes), max_detections
    out_boxes, out_scores = boxes.new_zeros((images, rows, 4)), scores.new_zeros((images, rows))
    out_labels, out_anchors = (anchors.new_full((images, rows), -1) for _ in range(2))
    alive = ranked > -math.inf
    counts = anchors.new_zeros(images)
    for row in range(min(rows, ranked.shape[1])):
        found, at = alive.max(1, keepdim=True)  # the first one alive
        if alive.device.type == "cpu" and not bool(found.any()):
            break
        box, label = _take_row(corners, at), _take_row(classes, at)
        out_boxes[:, row] = torch.where(found, box.squeeze(1), 0).to(boxes.dtype)
        out_scores[:, row] = torch.where(found, _take_row(ranked, at), 0).squeeze(1).to(scores.dtype)
        out_labels[:, row] = torch.where(found, label, -1).squeeze(1)
        out_anchors[:, row] = torch.where(found, _take_row(anchors, at), -1).squeeze(1)
        counts += found.squeeze(1)
        near = _iou(box, corners).double() > iou_threshold
        alive &= ~(near & found & (class_agnostic | (classes == label)))
        alive.scatter_(1, at, False)
    return out_boxes, out_scores, out_labels, out_anchors, counts
