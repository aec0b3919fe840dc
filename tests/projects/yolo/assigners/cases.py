"""Random predictions and objects for the assigners."""

import numpy as np
import torch
from detectron2.projects.yolo.losses import anchor_points
from torch import Tensor

SHAPES = ((12, 16), (6, 8), (3, 4))
STRIDES = (8, 16, 32)


def dense_case(seed: int, num_classes: int = 3) -> dict[str, Tensor]:
    """Two images of 96 x 128 pixels; boxes scatter around the objects so that many overlap several."""
    random = np.random.RandomState(seed)
    points, strides = anchor_points(SHAPES, STRIDES)
    gt_boxes = np.zeros((2, 5, 4), dtype=np.float32)
    for row in gt_boxes.reshape(-1, 4):
        low, size = random.uniform(0, 60, 2), random.uniform(6, 60, 2)
        row[:] = [*low, *(low + size)]
    anchors = len(points)
    nearest = random.randint(0, 5, (2, anchors))
    boxes = np.take_along_axis(gt_boxes, nearest[..., None], axis=1) + random.normal(0, 6, (2, anchors, 4))
    mask = np.ones((2, 5), dtype=bool)
    mask[1, 3:] = False
    return {
        "scores": torch.from_numpy(random.uniform(0.01, 0.99, (2, anchors, num_classes)).astype(np.float32)),
        "boxes": torch.from_numpy(boxes.astype(np.float32)),
        "anchor_points": points,
        "gt_labels": torch.from_numpy(random.randint(0, num_classes, (2, 5))),
        "gt_boxes": torch.from_numpy(gt_boxes * mask[..., None]),
        "gt_mask": torch.from_numpy(mask),
        "anchor_strides": strides,
    }


def plain_iou(first: list[float], second: list[float]) -> float:
    """IoU in plain Python."""
    inner = [max(0.0, min(first[2 + i], second[2 + i]) - max(first[i], second[i])) for i in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return inner[0] * inner[1] / (sum(areas) - inner[0] * inner[1])
