"""Head that predicts corrections to anchor boxes (YOLOv3, section 2.1; Scaled-YOLOv4)."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.layers import Conv2d

from ..layers import ImplicitScale, ImplicitShift
from .anchors import checked_anchors
from .base import REFERENCE_SIZE, Anchors, DetectionHead, HeadKind

logger = logging.getLogger(__name__)

# Expected objects in an image of the reference size, and the probability of any class of an object.
OBJECTS = 8
CLASS_MASS = 0.6


class AnchorBasedHead(DetectionHead):
    """One convolution for each level; raw predictions are, for each anchor, x, y, w, h, objectness and class logits.

    With twice as many feature maps as levels, the second half gets convolutions of its own for auxiliary predictions
    (YOLOv7, section 4.3).
    """

    head_kind: HeadKind = "anchor_based"
    anchor_sizes: Tensor | None

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        strides: Sequence[int],
        *,
        anchors: Anchors,
        implicit: bool = False,
        exponential: bool = False,
    ) -> None:
        """
        Args:
            in_channels: channels of the feature map of each level, optionally followed by those of the auxiliary maps.
            num_classes: number of classes.
            strides: input pixels per cell, for each level.
            anchors: width and height in pixels, for each level and anchor.
            implicit: implicit knowledge in front of and behind each convolution that is not auxiliary (YOLOR).
            exponential: sizes are exponentials of the raw numbers (YOLOv3, section 2.1).
        """
        super().__init__(num_classes, strides, len(anchors[0]) * (5 + num_classes))
        self.anchors = anchors
        self.register_buffer("anchor_sizes", None)
        self.exponential = exponential
        levels = len(strides)
        self.has_auxiliary = len(in_channels) > levels
        self.predictors = self._predictors(in_channels[:levels])
        self.auxiliary_predictors = self._predictors(in_channels[levels:]) if self.has_auxiliary else None
        self.shifts: nn.ModuleList | None = None
        self.scales: nn.ModuleList | None = None
        if implicit:
            self.shifts = nn.ModuleList(ImplicitShift(channels) for channels in in_channels[:levels])
            self.scales = nn.ModuleList(ImplicitScale(self.out_channels) for _ in range(levels))

    def keep_anchors(self) -> None:
        """Make the anchors a part of the state dict, as ``anchor_sizes``: they are not those of the family.

        A head without anchors of its own takes over those that it finds in the state dict that it loads.
        """
        self.anchor_sizes = torch.tensor(self.anchors, device=next(self.parameters()).device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        loaded = state_dict.get(f"{prefix}anchor_sizes")
        if self.anchor_sizes is not None:
            if loaded is not None and not torch.allclose(loaded.cpu(), self.anchor_sizes.cpu()):
                logger.warning("The weights were trained with other anchors than MODEL.YOLO.ANCHORS, which are kept")
            # Neither missing nor loaded: the config has the last word.
            state_dict[f"{prefix}anchor_sizes"] = self.anchor_sizes
        elif loaded is not None:
            self.anchors = checked_anchors(loaded.tolist(), len(self.strides))
            self.keep_anchors()
            logger.info("Anchors of the weights: %s", self.anchors)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _predictors(self, in_channels: Sequence[int]) -> nn.ModuleList:
        assert self.anchors is not None
        predictors = nn.ModuleList(Conv2d(channels, self.out_channels, 1) for channels in in_channels)
        for predictor, stride in zip(predictors, self.strides, strict=True):
            assert isinstance(predictor, Conv2d)
            init_anchor_biases(predictor, len(self.anchors[0]), self.num_classes, stride)
        return predictors

    def main(self, features: Sequence[Tensor]) -> list[Tensor]:
        maps = list(features[: len(self.strides)])
        if self.shifts is not None:
            maps = [shift(x) for shift, x in zip(self.shifts, maps, strict=True)]
        raw = [predictor(x) for predictor, x in zip(self.predictors, maps, strict=True)]
        return raw if self.scales is None else [scale(x) for scale, x in zip(self.scales, raw, strict=True)]

    def auxiliary(self, features: Sequence[Tensor]) -> list[Tensor]:
        if self.auxiliary_predictors is None:
            return []
        maps = features[len(self.strides) :]
        return [predictor(x) for predictor, x in zip(self.auxiliary_predictors, maps, strict=True)]

    def drop_auxiliary(self) -> list[str]:
        if self.auxiliary_predictors is None:
            return []
        self.auxiliary_predictors, self.has_auxiliary = None, False
        return ["auxiliary_predictors"]


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
