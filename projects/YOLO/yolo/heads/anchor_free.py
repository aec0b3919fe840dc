"""Anchor-free head that predicts each side of a box as a distribution (YOLOv8; Generalized Focal Loss, section 3.2)."""

from collections.abc import Sequence

from torch import Tensor

from .base import DetectionHead, HeadKind
from .branches import DecoupledBranches, box_width, class_width


class AnchorFreeHead(DetectionHead):
    """Decoupled branches; raw predictions are ``4 * reg_max`` box logits, then the class logits."""

    head_kind: HeadKind = "anchor_free_dfl"

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        strides: Sequence[int],
        *,
        reg_max: int = 16,
        separable_classes: bool = False,
    ) -> None:
        """
        Args:
            in_channels: channels of the feature map of each level.
            num_classes: number of classes.
            strides: input pixels per cell, for each level.
            reg_max: bins of a box side.
            separable_classes: depthwise separable convolutions in the class branch.
        """
        super().__init__(num_classes, strides, 4 * reg_max + num_classes)
        self.reg_max = reg_max
        self.branches = DecoupledBranches(
            in_channels,
            num_classes,
            strides,
            reg_max=reg_max,
            box_channels=box_width(in_channels[0], reg_max),
            class_channels=class_width(in_channels[0], num_classes),
            separable_classes=separable_classes,
        )

    def main(self, features: Sequence[Tensor]) -> list[Tensor]:
        return self.branches(features)
