"""The network of the region proposal network."""

from collections.abc import Sequence
from typing import Any

from fvcore.common.registry import Registry
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.batch_norm import CycleBatchNormList, get_level_norm
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import Conv2d
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.weight_init import normal_fill
from detectron2.utils.registry import registered

RPN_HEAD_REGISTRY = Registry("RPN_HEAD")
RPN_HEAD_REGISTRY.__doc__ = """Classes built as ``cls(cfg, input_shape)``: features to logits and deltas of anchors."""


def build_rpn_head(cfg: Any, input_shape: list[ShapeSpec]) -> nn.Module:
    """Build the head that ``MODEL.RPN.HEAD_NAME`` names, for feature maps of these shapes."""
    return registered(RPN_HEAD_REGISTRY, cfg.MODEL.RPN.HEAD_NAME, "MODEL.RPN.HEAD_NAME")(cfg, input_shape)


@RPN_HEAD_REGISTRY.register()
class StandardRPNHead(nn.Module):
    """3x3 convolutions and two 1x1 convolutions, shared by all levels (Faster R-CNN, section 3.1).

    Args:
        in_channels: channels of every feature map.
        num_anchors: anchors in each cell.
        box_dim: numbers that describe a box.
        conv_dims: channels after each 3x3 convolution; -1 keeps the number of its input.
        norm: of the 3x3 convolutions, as for :func:`get_level_norm`.
        num_levels: number of levels, for the norm.

    Raises:
        ValueError: when ``conv_dims`` is empty or holds a number that is neither -1 nor positive.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int,
        num_anchors: int,
        box_dim: int = 4,
        conv_dims: Sequence[int] = (-1,),
        norm: str = "",
        num_levels: int = 1,
    ) -> None:
        super().__init__()
        if not conv_dims or any(dim != -1 and dim <= 0 for dim in conv_dims):
            raise ValueError(f"conv_dims (MODEL.RPN.CONV_DIMS) must be a list of -1 or positive, got {conv_dims}")
        channels, convs = in_channels, []
        for dim in conv_dims:
            out_channels = channels if dim == -1 else dim
            convs.append(self._get_rpn_conv(channels, out_channels))
            channels = out_channels
        if len(convs) == 1:
            self.conv = convs[0]  # the name that published weights have
        else:
            self.conv = nn.Sequential()
            for index, conv in enumerate(convs):
                self.conv.add_module(f"conv{index}", conv)
        self.objectness_logits = nn.Conv2d(channels, num_anchors, kernel_size=1)
        self.anchor_deltas = nn.Conv2d(channels, num_anchors * box_dim, kernel_size=1)
        for conv in (*convs, self.objectness_logits, self.anchor_deltas):
            normal_fill(conv, std=0.01)
        for conv in convs:
            conv.norm = get_level_norm(norm, conv.out_channels, num_levels)

    def _get_rpn_conv(self, in_channels: int, out_channels: int) -> nn.Module:
        return Conv2d(in_channels, out_channels, kernel_size=3, padding=1, activation=nn.ReLU())

    @classmethod
    def from_config(cls, cfg: Any, input_shape: list[ShapeSpec]) -> dict[str, Any]:
        """Read ``MODEL.RPN.CONV_DIMS`` and the number of anchors.

        Raises:
            ValueError: when levels differ in channels or in anchors a cell.
        """
        channels = {shape.channels for shape in input_shape}
        anchors = build_anchor_generator(cfg, input_shape)
        num_anchors = set(anchors.num_anchors)
        if len(channels) != 1 or len(num_anchors) != 1:
            raise ValueError(
                "the RPN's head is shared by its levels, so they must agree in channels and anchors a cell; got "
                f"channels {sorted(channels)} and anchors {sorted(num_anchors)} for {cfg.MODEL.RPN.IN_FEATURES}"
            )
        return {
            "in_channels": channels.pop(),
            "num_anchors": num_anchors.pop(),
            "box_dim": anchors.box_dim,
            "conv_dims": cfg.MODEL.RPN.CONV_DIMS,
            "norm": cfg.MODEL.RPN.HEAD_NORM,
            "num_levels": len(input_shape),
        }

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predictions for the A anchors of each cell.

        Args:
            features: ``Tensor[N, C, H_l, W_l]`` for each level.

        Returns:
            objectness logits ``Tensor[N, A, H_l, W_l]`` and deltas ``Tensor[N, A * box_dim, H_l, W_l]`` for
            each level.
        """
        hidden = [self._hidden(feature, level) for level, feature in enumerate(features)]
        return [self.objectness_logits(x) for x in hidden], [self.anchor_deltas(x) for x in hidden]

    def _hidden(self, feature: Tensor, level: int) -> Tensor:
        for norm in (module for module in self.conv.modules() if isinstance(module, CycleBatchNormList)):
            norm.start_at(level)
        return self.conv(feature)
