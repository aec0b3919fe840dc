"""The shared case of the loss goldens: two images of 96 x 128 pixels, four classes, strides 8, 16, 32."""

import numpy as np
import torch
from detectron2.projects.yolo.assigners import AnchorMatcher, OTAAssigner, TaskAlignedAssigner, one_to_one_assigner
from detectron2.projects.yolo.losses import Targets
from detectron2.projects.yolo.losses.detection import (
    AnchorDetectionLoss,
    BranchesLoss,
    EndToEndDetectionLoss,
    LeadGuidedLoss,
    V8DetectionLoss,
    YOLOXLoss,
)
from torch import Tensor, nn

STRIDES = (8, 16, 32)
SHAPES = ((12, 16), (6, 8), (3, 4))
ANCHORS = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)


def targets_of_rows(rows: np.ndarray) -> Targets:
    """Targets of rows (image, class, cx, cy, w, h), three an image, in parts of the image's sides."""
    values = torch.from_numpy(rows)
    boxes = values[:, 2:] * torch.tensor([128.0, 96.0, 128.0, 96.0])
    boxes = torch.cat((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), dim=1)
    return Targets(values[:, 1].long().view(2, 3), boxes.view(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))


def some_targets(num_classes: int = 4) -> Targets:
    """Five objects, one of them in the second image."""
    boxes = torch.tensor(
        [
            [[10.0, 12.0, 50.0, 60.0], [40.0, 20.0, 120.0, 90.0], [15.0, 10.0, 55.0, 40.0], [90.0, 4.0, 102.0, 20.0]],
            [[60.0, 30.0, 100.0, 70.0], [0.0] * 4, [0.0] * 4, [0.0] * 4],
        ]
    )
    labels = torch.tensor([[1, 3, 1, 0], [2, 0, 0, 0]]) % num_classes
    return Targets(labels, boxes, torch.tensor([[True] * 4, [True] + [False] * 3]))


def no_targets(padded: int = 0) -> Targets:
    return Targets(
        torch.zeros(2, padded, dtype=torch.int64), torch.zeros(2, padded, 4), torch.zeros(2, padded, dtype=torch.bool)
    )


def random_levels(channels: int, seed: int = 0, maps: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, *SHAPES[i % 3], generator=generator).requires_grad_() for i in range(maps)]


def all_losses(num_classes: int) -> dict[str, tuple[nn.Module, list[Tensor]]]:
    """Every detection loss with random predictions."""
    anchors = 3 * (5 + num_classes)
    matcher = AnchorMatcher(ANCHORS, STRIDES)
    coarse = AnchorMatcher(ANCHORS, STRIDES, reach=1.0)
    one = one_to_one_assigner()
    many = TaskAlignedAssigner(min_side=16)
    v8 = V8DetectionLoss(num_classes, assigner=many)
    return {
        "v8": (v8, random_levels(64 + num_classes)),
        "v8 without bins": (V8DetectionLoss(num_classes, reg_max=1), random_levels(4 + num_classes)),
        "v9": (
            BranchesLoss({"main": v8, "aux": v8}, {"main": 1, "aux": 0.25}),
            random_levels(64 + num_classes, maps=6),
        ),
        "end to end": (
            EndToEndDetectionLoss(v8, V8DetectionLoss(num_classes, assigner=one), 10),
            random_levels(64 + num_classes, maps=6),
        ),
        "yolox": (YOLOXLoss(num_classes, use_l1=True), random_levels(5 + num_classes)),
        "v5": (AnchorDetectionLoss(num_classes, matcher), random_levels(anchors)),
        "v7": (AnchorDetectionLoss(num_classes, matcher, ota=OTAAssigner()), random_levels(anchors)),
        "v7 with auxiliary": (
            LeadGuidedLoss(
                AnchorDetectionLoss(num_classes, matcher, ota=OTAAssigner()),
                AnchorDetectionLoss(num_classes, coarse, ota=OTAAssigner()),
            ),
            random_levels(anchors, maps=6),
        ),
    }


ALL = tuple(all_losses(1))
