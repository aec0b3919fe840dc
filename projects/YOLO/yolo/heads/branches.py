"""Separate branches for boxes and classes on every level."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detectron2.layers import Conv2d

from ..layers import SeparableConv, conv_bn_act
from .base import REFERENCE_SIZE


@dataclass(frozen=True)
class BranchStyle:
    """What differs between the families.

    Attributes:
        box_groups: groups of the box branch behind its first convolution.
        separable_classes: depthwise separable convolutions in the class branch.
        class_width: hidden channels of the class branch, from the channels of the finest level and the classes.
    """

    box_groups: int = 1
    separable_classes: bool = False
    class_width: Callable[[int, int], int] = lambda channels, classes: max(channels, min(classes, 100))


class DecoupledBranches(nn.Module):
    """For each level one branch for the sides of the boxes and one for the classes (YOLOv8 head)."""

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        strides: Sequence[int],
        *,
        reg_max: int,
        style: BranchStyle,
    ) -> None:
        """
        Args:
            in_channels: channels of the feature map of each level.
            num_classes: number of classes.
            strides: input pixels per cell, for each level.
            reg_max: bins of a box side.
            style: what differs between the families.
        """
        super().__init__()
        box_channels = max(16, in_channels[0] // 4, 4 * reg_max)
        class_channels = style.class_width(in_channels[0], num_classes)
        groups = style.box_groups
        self.boxes = nn.ModuleList(
            nn.Sequential(
                conv_bn_act(channels, box_channels, kernel_size=3),
                conv_bn_act(box_channels, box_channels, kernel_size=3, groups=groups),
                Conv2d(box_channels, 4 * reg_max, 1, groups=groups),
            )
            for channels in in_channels
        )
        self.classes = nn.ModuleList(
            nn.Sequential(
                *_class_convs(channels, class_channels, style.separable_classes), Conv2d(class_channels, num_classes, 1)
            )
            for channels in in_channels
        )
        self._init_biases(num_classes, strides)

    def _init_biases(self, num_classes: int, strides: Sequence[int]) -> None:
        """Start from about 5 objects in an image of 640 x 640 pixels."""
        for boxes, classes, stride in zip(self.boxes, self.classes, strides, strict=True):
            cells = (REFERENCE_SIZE / stride) ** 2
            for branch, value in ((boxes, 1.0), (classes, math.log(5 / num_classes / cells))):
                assert isinstance(branch, nn.Sequential) and isinstance(branch[-1].bias, Tensor)
                nn.init.constant_(branch[-1].bias, value)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """``Tensor[N, C_i, H_i, W_i]`` for each level -> ``Tensor[N, 4 * reg_max + K, H_i, W_i]`` for each level."""
        branches = zip(self.boxes, self.classes, features, strict=True)
        return [torch.cat([boxes(x), classes(x)], 1) for boxes, classes, x in branches]


def _class_convs(in_channels: int, hidden: int, separable: bool) -> list[nn.Module]:
    if separable:
        return [SeparableConv(in_channels, hidden), SeparableConv(hidden, hidden)]
    return [conv_bn_act(in_channels, hidden, kernel_size=3), conv_bn_act(hidden, hidden, kernel_size=3)]
