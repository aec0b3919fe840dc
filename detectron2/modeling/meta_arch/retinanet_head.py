"""The head of RetinaNet: two towers of convolutions, shared by all levels of the pyramid."""

import math
from typing import Any

from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.batch_norm import CycleBatchNormList, get_level_norm
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.weight_init import normal_fill


class RetinaNetHead(nn.Module):
    """Class logits and box deltas for every anchor ("Focal Loss for Dense Object Detection", section 4).

    Args:
        input_shape: shapes of the feature maps, all with the same number of channels.
        num_classes: number of classes K without background.
        num_anchors: anchors in each cell, the same at every level.
        conv_dims: output channels of the convolutions of each tower.
        norm: as for :func:`get_level_norm`: "BN" and "SyncBN" keep statistics for each level.
        prior_prob: foreground probability that the classifier starts with.

    Raises:
        ValueError: when levels differ in channels, or ``prior_prob`` is no probability.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: list[ShapeSpec],
        num_classes: int,
        num_anchors: int,
        conv_dims: list[int],
        norm: str = "",
        prior_prob: float = 0.01,
    ) -> None:
        super().__init__()
        channels = {shape.channels for shape in input_shape}
        if len(channels) != 1:
            raise ValueError(f"a head shared by levels needs the same channels at each, got {sorted(channels)}")
        if not 0 < prior_prob < 1:
            raise ValueError(f"prior_prob (MODEL.RETINANET.PRIOR_PROB) must lie in (0, 1), got {prior_prob}")
        self.num_levels = len(input_shape)
        in_channels = channels.pop()
        self.cls_subnet = self._make_tower(in_channels, conv_dims, norm)
        self.bbox_subnet = self._make_tower(in_channels, conv_dims, norm)
        last = conv_dims[-1] if conv_dims else in_channels
        self.cls_score = nn.Conv2d(last, num_anchors * num_classes, kernel_size=3, padding=1)
        self.bbox_pred = nn.Conv2d(last, num_anchors * 4, kernel_size=3, padding=1)
        initialize_convolutions(self)
        nn.init.constant_(self.cls_score.bias, math.log(prior_prob / (1 - prior_prob)))

    @classmethod
    def from_config(cls, cfg: Any, input_shape: list[ShapeSpec]) -> dict[str, Any]:
        """Read ``MODEL.RETINANET``; the number of anchors comes from the anchor generator's settings."""
        settings = cfg.MODEL.RETINANET
        counts = set(build_anchor_generator(cfg, input_shape).num_cell_anchors)
        if len(counts) != 1:
            raise ValueError(f"RetinaNet needs the same number of anchors a cell at every level, got {sorted(counts)}")
        return {
            "input_shape": input_shape,
            "num_classes": settings.NUM_CLASSES,
            "num_anchors": counts.pop(),
            "conv_dims": [input_shape[0].channels] * settings.NUM_CONVS,
            "norm": settings.NORM,
            "prior_prob": settings.PRIOR_PROB,
        }

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predict for every level.

        Args:
            features: for each level ``Tensor[N, C, H_l, W_l]``.

        Returns:
            For each level logits ``Tensor[N, A * K, H_l, W_l]`` and deltas ``Tensor[N, A * 4, H_l, W_l]``.
        """
        self._check_levels(features)
        logits = [self.cls_score(run_tower(self.cls_subnet, x, level)) for level, x in enumerate(features)]
        deltas = [self.bbox_pred(run_tower(self.bbox_subnet, x, level)) for level, x in enumerate(features)]
        return logits, deltas

    def _check_levels(self, features: list[Tensor]) -> None:
        if len(features) != self.num_levels:
            raise ValueError(f"the head was built for {self.num_levels} levels, got {len(features)} feature maps")

    def _make_tower(self, in_channels: int, conv_dims: list[int], norm: str) -> nn.Sequential:
        layers: list[nn.Module] = []
        for out_channels in conv_dims:
            layers.append(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1))
            if norm:
                layers.append(get_level_norm(norm, out_channels, self.num_levels))
            layers.append(nn.ReLU())
            in_channels = out_channels
        return nn.Sequential(*layers)


def run_tower(tower: nn.Sequential, x: Tensor, level: int) -> Tensor:
    """Run the layers of a shared tower on one level; norms that keep one state a level take that level's.

    The level is passed as a number instead of being counted by the norm, so that levels may run in any order, or
    only some of them.
    """
    for layer in tower:
        x = layer.at_level(x, level) if isinstance(layer, CycleBatchNormList) else layer(x)
    return x


def initialize_convolutions(head: nn.Module) -> None:
    """Start every convolution of a head with weights from N(0, 0.01²) and zero biases."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            normal_fill(module, std=0.01)
