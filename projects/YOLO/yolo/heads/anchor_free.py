"""Anchor-free head that predicts each side of a box as a distribution (YOLOv8; Generalized Focal Loss, section 3.2)."""

from collections.abc import Sequence

from torch import Tensor

from .base import DetectionHead, HeadKind
from .branches import BranchStyle, DecoupledBranches


class AnchorFreeHead(DetectionHead):
    """Decoupled branches; raw predictions are ``4 * reg_max`` box logits, then the class logits.

    With twice as many feature maps as levels, the second half gets branches of its own for auxiliary predictions
    (YOLOv9, section 4.1).
    """

    head_kind: HeadKind = "anchor_free_dfl"

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        strides: Sequence[int],
        *,
        reg_max: int = 16,
        style: BranchStyle | None = None,
    ) -> None:
        """
        Args:
            in_channels: channels of the feature map of each level, optionally followed by those of the auxiliary maps.
            num_classes: number of classes.
            strides: input pixels per cell, for each level.
            reg_max: bins of a box side.
            style: what differs between the families; None for YOLOv8.
        """
        super().__init__(num_classes, strides, 4 * reg_max + num_classes)
        self.reg_max = reg_max
        self.has_auxiliary = len(in_channels) > len(strides)

        def branches(channels: Sequence[int]) -> DecoupledBranches:
            return DecoupledBranches(channels, num_classes, strides, reg_max=reg_max, style=style or BranchStyle())

        self.branches = branches(in_channels[: len(strides)])
        self.auxiliary_branches = branches(in_channels[len(strides) :]) if self.has_auxiliary else None

    def main(self, features: Sequence[Tensor]) -> list[Tensor]:
        return self.branches(features[: len(self.strides)])

    def auxiliary(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [] if self.auxiliary_branches is None else self.auxiliary_branches(features[len(self.strides) :])

    def drop_auxiliary(self) -> list[str]:
        if self.auxiliary_branches is None:
            return []
        self.auxiliary_branches, self.has_auxiliary = None, False
        return ["auxiliary_branches"]
