"""Head that predicts corrections to anchor boxes (YOLOv3, section 2.1; Scaled-YOLOv4)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detectron2.layers import Conv2d

from .base import REFERENCE_SIZE, Anchors, DetectionHead, HeadKind

# Expected objects in an image of the reference size, and the probability of any class of an object.
OBJECTS = 8
CLASS_MASS = 0.6


class AnchorBasedHead(DetectionHead):
    """One convolution for each level; raw predictions are, for each anchor, x, y, w, h, objectness and class logits."""

    head_kind: HeadKind = "anchor_based"

    def __init__(
        self, in_channels: Sequence[int], num_classes: int, strides: Sequence[int], *, anchors: Anchors
    ) -> None:
        """
        Args:
            in_channels: channels of the feature map of each level.
            num_classes: number of classes.
            strides: input pixels per cell, for each level.
            anchors: width and height in pixels, for each level and anchor.
        """
        super().__init__(num_classes, strides, len(anchors[0]) * (5 + num_classes))
        self.anchors = anchors
        self.predictors = nn.ModuleList(Conv2d(channels, self.out_channels, 1) for channels in in_channels)
        for predictor, stride in zip(self.predictors, strides, strict=True):
            init_anchor_biases(predictor, len(anchors[0]), num_classes, stride)

    def main(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [predictor(feature) for predictor, feature in zip(self.predictors, features, strict=True)]


@torch.no_grad()
def init_anchor_biases(predictor: nn.Conv2d, num_anchors: int, num_classes: int, stride: int) -> None:
    """Raise the biases of a prediction layer by the priors of objectness and classes (RetinaNet, section 3.3).

    Args:
        predictor: with ``num_anchors * (5 + num_classes)`` output channels.
        num_anchors, num_classes: anchors of a cell, and classes.
        stride: input pixels per cell.
    """
    assert predictor.bias is not None
    bias = predictor.bias.view(num_anchors, 5 + num_classes)
    bias[:, 4] += math.log(OBJECTS / (REFERENCE_SIZE / stride) ** 2)
    bias[:, 5:] += math.log(CLASS_MASS / (num_classes - 0.99999))
