"""The functions that callers use."""

import math

import torch
from torch import Tensor

from . import native, operators  # noqa: F401  the operators are registered when imported
from .results import Detections, PaddedDetections

_TYPES = (torch.float32, torch.float16, torch.bfloat16)


def nms_padded(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    iou_threshold: float,
    score_threshold: float,
    max_candidates: int = 30000,
    max_detections: int = 300,
    class_agnostic: bool = False,
    multi_label: bool = False,
) -> PaddedDetections:
    """Greedy non-maximum suppression of a batch, into as many rows for every image.

    Each image's candidates are taken best first; one that overlaps a detection of its class by an IoU above
    ``iou_threshold`` is dropped, the others become detections. Equal scores come in the order of anchors, then of
    classes. NaN scores are no candidates. Boxes without area, or with a NaN, overlap nothing. IoU is computed in
    float32 on the corners as they are, with torchvision's order of operations, whatever the type of the inputs, so
    that the same boxes are kept as by ``torchvision.ops.batched_nms`` class by class. There are no gradients.

    With the native CUDA kernels the host does not wait for the device, and the call can be captured in a CUDA graph.
    Memory beside inputs and outputs is bounded: see :func:`..workspace.workspace_bytes`.

    Args:
        boxes: ``Tensor[N, A, 4]``, corners (x0, y0, x1, y1); float32, float16 or bfloat16. Any strides.
        scores: ``Tensor[N, A, K]`` of these types, or ``Tensor[N, A]`` with ``labels``. Views of the heads' outputs
            with classes or anchors next to one another in memory are read in place.
        labels: int64 ``Tensor[N, A]``, any values.
        iou_threshold: from 0 to 1.
        score_threshold: candidates have a score above it, compared in float32.
        max_candidates: an image keeps that many of its best candidates before suppression.
        max_detections: rows an image.
        class_agnostic: boxes of different classes suppress each other too.
        multi_label: every class of an anchor above the threshold is a candidate, not the best one only.

    Returns:
        The detections, padded, best first.

    Raises:
        ValueError: shapes, types or settings other than these, or tensors on different devices.
    """
    arguments = _checked(
        boxes,
        scores,
        labels,
        iou_threshold,
        score_threshold,
        max_candidates,
        max_detections,
        class_agnostic,
        multi_label,
    )
    return PaddedDetections(*torch.ops.detectron2_yolo.nms_padded(*arguments))


def nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    iou_threshold: float,
    score_threshold: float,
    max_candidates: int = 30000,
    max_detections: int = 300,
    class_agnostic: bool = False,
    multi_label: bool = False,
) -> Detections:
    """:func:`nms_padded` without padding. On CUDA the host waits for the device once, for the number of detections.

    Args:
        boxes, scores, labels, iou_threshold, score_threshold, max_candidates, max_detections, class_agnostic,
        multi_label: see :func:`nms_padded`.

    Returns:
        The detections of all images in one piece, with the image of each.

    Raises:
        ValueError: see :func:`nms_padded`.
    """
    arguments = _checked(
        boxes,
        scores,
        labels,
        iou_threshold,
        score_threshold,
        max_candidates,
        max_detections,
        class_agnostic,
        multi_label,
    )
    return Detections(*torch.ops.detectron2_yolo.nms(*arguments))


def _checked(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    iou_threshold: float,
    score_threshold: float,
    max_candidates: int,
    max_detections: int,
    class_agnostic: bool,
    multi_label: bool,
) -> tuple[Tensor, Tensor, Tensor | None, float, float, int, int, bool, bool]:
    """The operator's arguments, without gradients, the native kernels being loaded."""
    _check_tensors(boxes, scores, labels)
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"nms: iou_threshold is {iou_threshold}, allowed are 0 to 1")
    if math.isnan(score_threshold):
        raise ValueError("nms: score_threshold is NaN")
    for name, value in (("max_candidates", max_candidates), ("max_detections", max_detections)):
        if value < 1:
            raise ValueError(f"nms: {name} is {value}, allowed are 1 and more")
    native.prepare(boxes.device.type)
    return (
        boxes.detach(),
        scores.detach(),
        labels,
        float(iou_threshold),
        float(score_threshold),
        max_candidates,
        max_detections,
        class_agnostic,
        multi_label,
    )


def _check_tensors(boxes: Tensor, scores: Tensor, labels: Tensor | None) -> None:
    if boxes.dim() != 3 or boxes.shape[2] != 4:
        raise ValueError(f"nms: boxes are of shape {tuple(boxes.shape)}, wanted is (N, A, 4)")
    wanted = "(N, A, K), or (N, A) with labels" if labels is None else "(N, A), as there are labels"
    if scores.dim() != (3 if labels is None else 2) or scores.shape[:2] != boxes.shape[:2]:
        raise ValueError(f"nms: scores are of shape {tuple(scores.shape)}, wanted is {wanted}, N and A as the boxes")
    for name, tensor in (("boxes", boxes), ("scores", scores)):
        if tensor.dtype not in _TYPES:
            raise ValueError(f"nms: {name} are {tensor.dtype}, allowed are float32, float16 and bfloat16; use .float()")
    if labels is not None and (labels.shape != scores.shape or labels.dtype != torch.int64):
        raise ValueError(
            f"nms: labels are {labels.dtype} of shape {tuple(labels.shape)}, wanted is int64 of shape "
            f"{tuple(scores.shape)}"
        )
    devices = {str(tensor.device) for tensor in (boxes, scores, labels) if tensor is not None}
    if len(devices) > 1:
        raise ValueError(f"nms: the tensors are on different devices: {', '.join(sorted(devices))}")
