"""The operators: schemas, kernels for any device and fake kernels.

``detectron2_yolo::nms_padded`` runs as :mod:`.eager` on any device; :mod:`.native` puts faster kernels before it.
``detectron2_yolo::nms`` packs its results.
"""

from typing import Any

import torch
from torch import Tensor

from . import eager

PADDED = "detectron2_yolo::nms_padded"
PACKED = "detectron2_yolo::nms"
_SETTINGS = (
    "(Tensor boxes, Tensor scores, Tensor? labels, float iou_threshold, float score_threshold, int max_candidates, "
    "int max_detections, bool class_agnostic, bool multi_label)"
)


def _fake_padded(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    iou_threshold: float,
    score_threshold: float,
    max_candidates: int,
    max_detections: int,
    class_agnostic: bool,
    multi_label: bool,
) -> tuple[Tensor, ...]:
    images, rows = boxes.shape[0], max_detections
    return (
        boxes.new_empty((images, rows, 4)),
        scores.new_empty((images, rows)),
        boxes.new_empty((images, rows), dtype=torch.int64),
        boxes.new_empty((images, rows), dtype=torch.int64),
        boxes.new_empty((images,), dtype=torch.int64),
    )


def _pack(*arguments: Any) -> tuple[Tensor, ...]:
    """The rows in use, one after another. Their number is the one thing that the host reads."""
    *columns, counts = torch.ops.detectron2_yolo.nms_padded(*arguments)
    rows = columns[0].shape[1]
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    images = torch.arange(len(counts), device=counts.device).repeat_interleave(counts, output_size=total)
    within = torch.arange(total, device=counts.device) - (ends - counts)[images]
    at = images * rows + within
    boxes, scores, labels, anchors = (column.flatten(0, 1)[at] for column in columns)
    return boxes, scores, labels, anchors, images, counts


def _fake_packed(*arguments: Any) -> tuple[Tensor, ...]:
    total = torch.library.get_ctx().new_dynamic_size()
    boxes, scores, labels, anchors, counts = _fake_padded(*arguments)
    return (
        boxes.new_empty((total, 4)),
        scores.new_empty((total,)),
        labels.new_empty((total,)),
        anchors.new_empty((total,)),
        labels.new_empty((total,)),
        counts,
    )


torch.library.define(PADDED, f"{_SETTINGS} -> (Tensor, Tensor, Tensor, Tensor, Tensor)")
torch.library.define(PACKED, f"{_SETTINGS} -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)")
torch.library.impl(PADDED, "default", eager.nms_padded)
torch.library.impl(PACKED, "default", _pack)
torch.library.register_fake(PADDED, _fake_padded)
torch.library.register_fake(PACKED, _fake_packed)
