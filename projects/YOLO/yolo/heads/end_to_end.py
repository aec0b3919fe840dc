"""Head that needs no non-maximum suppression (YOLOv10, section 3.1, consistent dual assignments)."""

import copy
from collections.abc import Sequence

from torch import Tensor

from .base import DetectionHead, HeadKind
from .branches import BranchStyle, DecoupledBranches


class EndToEndHead(DetectionHead):
    """Two sets of decoupled branches: inference reads the one trained with one prediction for each object.

    The other one, trained with many predictions for each object, gives the auxiliary predictions; the feature maps
    learn from it alone. The channels are those of :class:`AnchorFreeHead`.
    """

    head_kind: HeadKind = "end_to_end"

    def __init__(
        self, in_channels: Sequence[int], num_classes: int, strides: Sequence[int], *, reg_max: int = 16
    ) -> None:
        """
        Args:
            in_channels: channels of the feature map of each level.
            num_classes: number of classes.
            strides: input pixels per cell, for each level.
            reg_max: bins of a box side; 1 for the bare distances.
        """
        super().__init__(num_classes, strides, 4 * reg_max + num_classes)
        self.reg_max = reg_max
        self.has_auxiliary = True
        self.one_to_many: DecoupledBranches | None = DecoupledBranches(
            in_channels,
            num_classes,
            strides,
            reg_max=reg_max,
            style=BranchStyle(separable_classes=True),
        )
        self.one_to_one: DecoupledBranches = copy.deepcopy(self.one_to_many)

    def main(self, features: Sequence[Tensor]) -> list[Tensor]:
        return self.one_to_one([feature.detach() for feature in features] if self.training else features)

    def auxiliary(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [] if self.one_to_many is None else self.one_to_many(features)

    def drop_auxiliary(self) -> list[str]:
        if self.one_to_many is None:
            return []
        self.one_to_many, self.has_auxiliary = None, False
        return ["one_to_many"]
