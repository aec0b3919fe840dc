"""Non-maximum suppression, class by class."""

import torch
from torch import Tensor

from detectron2.layers.wrappers import check_if_dynamo_compiling, disable_torch_compiler

__all__ = ["batched_nms", "disable_torch_compiler", "nms"]

_SHIFTED_BOXES = 1000  # up to this many, torchvision shifts the classes apart and runs once


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """``torchvision.ops.nms``: greedy suppression without classes.

    Args:
        boxes: ``Tensor[N, 4]`` in (x0, y0, x1, y1).
        scores: ``Tensor[N]``.
        iou_threshold: boxes that overlap a better one by more are dropped.

    Returns:
        int64 ``Tensor[K]``, indices of the boxes kept, best first.
    """
    from torchvision.ops import nms as torchvision_nms

    return torchvision_nms(boxes, scores, iou_threshold)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Greedy suppression where boxes of different classes (or images, or levels) leave each other alone.

    Computed in float32: half precision moves the corners of large boxes by pixels.

    Args:
        boxes: ``Tensor[N, 4]`` in (x0, y0, x1, y1), any number of them.
        scores: ``Tensor[N]``.
        idxs: class of each box, ``Tensor[N]``.
        iou_threshold: boxes that overlap a better one of their class by more are dropped.

    Returns:
        int64 ``Tensor[K]``, indices of the boxes kept, best first.

    Raises:
        ValueError: boxes of another shape.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"batched_nms wants boxes of shape (N, 4), got {tuple(boxes.shape)}")
    boxes, scores = boxes.float(), scores.float()
    if boxes.device.type == "cpu" and not check_if_dynamo_compiling() and len(boxes) > _SHIFTED_BOXES:
        return _nms_by_class(boxes, scores, idxs, iou_threshold)
    from torchvision.ops import batched_nms as torchvision_batched_nms

    return torchvision_batched_nms(boxes, scores, idxs, iou_threshold)


def _nms_by_class(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """One run for each class. All boxes are brought in the order of their classes once, not searched for each."""
    order = idxs.argsort(stable=True)
    boxes, sorted_scores = boxes[order], scores[order]
    counts = idxs[order].unique_consecutive(return_counts=True)[1].tolist()
    kept, start = [], 0
    for class_boxes, class_scores in zip(boxes.split(counts), sorted_scores.split(counts), strict=True):
        kept.append(nms(class_boxes, class_scores, iou_threshold) + start)
        start += len(class_boxes)
    keep = order[torch.cat(kept)].sort().values  # equal scores come in the order of the boxes
    return keep[scores[keep].argsort(descending=True)]
