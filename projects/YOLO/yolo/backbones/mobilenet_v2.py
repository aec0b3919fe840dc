"""MobileNetV2 (arXiv:1801.04381, table 2) as a backbone."""

from typing import Any

from torch import nn

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY

from .mobile_blocks import BlockSettings, InvertedResidual, mobile_conv, rounded_channels
from .stages import StagedBackbone, stage_name

__all__ = ["build_mobilenet_v2_backbone", "mobilenet_v2"]

# Expansion, channels, repeats and stride of the first block, of each group of blocks.
_TABLE = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    out_features: list[str], *, width: float = 1.0, norm: str = "BN", in_channels: int = 3
) -> StagedBackbone:
    """The network without its last 1 x 1 convolution and classifier.

    Args:
        out_features: names of the feature maps, of res1 to res5, the last map of each stride.
        width: factor of all channels.
        norm: as for ``get_norm``.
        in_channels: channels of the input image.

    Raises:
        ValueError: an unknown feature map, or a width that is not positive.
    """
    if width <= 0:
        raise ValueError(f"MODEL.YOLO.BACKBONE.MOBILENET.WIDTH is {width}; it must be positive")
    channels, stride = rounded_channels(32 * width), 2
    layers: list[nn.Module] = [mobile_conv(in_channels, channels, 3, stride=2, norm=norm, activation=nn.ReLU6)]
    ends = {stage_name(stride): (0, channels, stride)}
    for expansion, out, repeats, first_stride in _TABLE:
        for repeat in range(repeats):
            step = first_stride if repeat == 0 else 1
            settings = BlockSettings(expansion * channels, rounded_channels(out * width), 3, step, nn.ReLU6, norm=norm)
            layers.append(InvertedResidual(channels, settings))
            channels, stride = settings.channels, stride * step
            ends[stage_name(stride)] = (len(layers) - 1, channels, stride)
    return StagedBackbone(layers, ends, out_features)


@BACKBONE_REGISTRY.register()
def build_mobilenet_v2_backbone(cfg: Any, input_shape: ShapeSpec) -> StagedBackbone:
    """From ``MODEL.YOLO.BACKBONE.MOBILENET`` and ``OUT_FEATURES``."""
    node = cfg.MODEL.YOLO.BACKBONE
    return mobilenet_v2(
        node.OUT_FEATURES,
        width=node.MOBILENET.WIDTH,
        norm=node.MOBILENET.NORM,
        in_channels=input_shape.channels or 3,
    )
