"""What all heads have in common."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

HeadKind = Literal["anchor_free_dfl", "yolox", "anchor_based", "end_to_end"]
Anchors = tuple[tuple[tuple[float, float], ...], ...]

# The side of the images that the published biases of objectness and classes are computed for, in pixels.
REFERENCE_SIZE = 640


class DetectionHead(nn.Module, ABC):
    """Feature maps in, raw predictions out; see :mod:`..decode` for what the channels of each kind mean.

    A head may have auxiliary predictions, which only training reads. They follow the others in the list.

    Attributes:
        head_kind: layout of the raw predictions.
        num_classes: number of classes K.
        strides: input pixels per cell, for each level.
        reg_max: number of bins R of a box side; None for heads without.
        anchors: width and height in pixels, for each level and anchor; None for heads without.
        exponential: with anchors: sizes are exponentials of the raw numbers, as in YOLOv3, not squared sigmoids.
        out_channels: channels of a raw prediction.
        has_auxiliary: in training mode there are twice as many maps as levels.
    """

    head_kind: HeadKind
    num_classes: int
    strides: tuple[int, ...]
    reg_max: int | None = None
    anchors: Anchors | None = None
    exponential: bool = False
    out_channels: int
    has_auxiliary: bool = False

    def __init__(self, num_classes: int, strides: Sequence[int], out_channels: int) -> None:
        """
        Args:
            num_classes: number of classes, 1 or more.
            strides: input pixels per cell, for each level.
            out_channels: channels of a raw prediction.
        """
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, not {num_classes}")
        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.out_channels = out_channels

    @abstractmethod
    def main(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Raw predictions that inference reads, ``Tensor[N, out_channels, H, W]`` for each level."""

    def auxiliary(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Raw predictions that only training reads, in the same form; an empty list if there are none."""
        return []

    def drop_auxiliary(self) -> list[str]:
        """Remove the layers behind :meth:`auxiliary`, for inference alone; gives their names."""
        return []

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """:meth:`main`, in training mode followed by :meth:`auxiliary`."""
        predictions = self.main(features)
        return predictions + self.auxiliary(features) if self.training else predictions


def logit(probability: float) -> float:
    """The logit of a probability between 0 and 1."""
    return math.log(probability / (1 - probability))
