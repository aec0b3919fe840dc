"""Non-maximum suppression, class by class."""

from torch import Tensor

from detectron2.layers.wrappers import disable_torch_compiler

__all__ = ["batched_nms", "disable_torch_compiler", "nms"]


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
    from torchvision.ops import batched_nms as torchvision_batched_nms

    return torchvision_batched_nms(boxes.float(), scores.float(), idxs, iou_threshold)
