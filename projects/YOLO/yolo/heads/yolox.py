"""Decoupled anchor-free head with an objectness (YOLOX, section 2.1 and figure 2)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from detectron2.layers import Conv2d

from ..layers import SeparableConv, conv_bn_act
from .base import DetectionHead, HeadKind, logit

PRIOR = 0.01


class YOLOXHead(DetectionHead):
    """Raw predictions are x, y, w, h, the objectness, and the class logits."""

    head_kind: HeadKind = "yolox"

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        strides: Sequence[int],
        *,
        hidden_channels: int = 256,
        depthwise: bool = False,
    ) -> None:
        """
        Args:
            in_channels: channels of the feature map of each level.
            num_classes: number of classes.
            strides: input pixels per cell, for each level.
            hidden_channels: channels of the branches.
            depthwise: depthwise separable convolutions in the branches.
        """
        super().__init__(num_classes, strides, 5 + num_classes)
        make: Callable[..., nn.Module] = SeparableConv if depthwise else conv_bn_act

        def branches() -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(*(make(hidden_channels, hidden_channels, kernel_size=3) for _ in range(2)))
                for _ in in_channels
            )

        def predictors(out_channels: int) -> nn.ModuleList:
            return nn.ModuleList(Conv2d(hidden_channels, out_channels, 1) for _ in in_channels)

        self.stems = nn.ModuleList(conv_bn_act(channels, hidden_channels) for channels in in_channels)
        self.class_branches = branches()
        self.box_branches = branches()
        self.class_predictors = predictors(num_classes)
        self.box_predictors = predictors(4)
        self.objectness_predictors = predictors(1)
        for predictor in [*self.class_predictors, *self.objectness_predictors]:
            nn.init.constant_(predictor.bias, logit(PRIOR))

    def main(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [self._level(index, feature) for index, feature in enumerate(features)]

    def _level(self, index: int, feature: Tensor) -> Tensor:
        stem = self.stems[index](feature)
        box_feature = self.box_branches[index](stem)
        boxes = self.box_predictors[index](box_feature)
        objectness = self.objectness_predictors[index](box_feature)
        classes = self.class_predictors[index](self.class_branches[index](stem))
        return torch.cat([boxes, objectness, classes], 1)
