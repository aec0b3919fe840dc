"""MobileNetV3 (arXiv:1905.02244, tables 1 and 2) as a backbone."""

from typing import Any

from torch import nn

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY

from .mobile_blocks import BlockSettings, InvertedResidual, mobile_conv, rounded_channels
from .stages import StagedBackbone, stage_name

__all__ = ["build_mobilenet_v3_backbone", "mobilenet_v3"]

# Kernel size, expanded channels, channels, squeeze-and-excitation, hard swish, stride, of each block.
_Row = tuple[int, int, int, bool, bool, int]
_LARGE: tuple[_Row, ...] = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_SMALL: tuple[_Row, ...] = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
_VARIANTS = {"large": _LARGE, "small": _SMALL}
_SQUEEZE = 4  # channels of a map to those between the layers of its squeeze-and-excitation


def mobilenet_v3(
    variant: str, out_features: list[str], *, width: float = 1.0, norm: str = "BN", in_channels: int = 3
) -> StagedBackbone:
    """The network without its last 1 x 1 convolution and classifier.

    Args:
        variant: "large" or "small".
        out_features: names of the feature maps, of res1 to res5, the last map of each stride.
        width: factor of all channels.
        norm: as for ``get_norm``.
        in_channels: channels of the input image.

    Raises:
        ValueError: an unknown variant or feature map, or a width that is not positive.
    """
    if variant not in _VARIANTS:
        raise ValueError(f"MODEL.YOLO.BACKBONE.MOBILENET.VARIANT is {variant!r}; allowed are {', '.join(_VARIANTS)}")
    if width <= 0:
        raise ValueError(f"MODEL.YOLO.BACKBONE.MOBILENET.WIDTH is {width}; it must be positive")
    channels, stride = rounded_channels(16 * width), 2
    layers: list[nn.Module] = [mobile_conv(in_channels, channels, 3, stride=2, norm=norm, activation=nn.Hardswish)]
    ends = {stage_name(stride): (0, channels, stride)}
    for kernel_size, expanded, out, squeezes, swish, step in _VARIANTS[variant]:
        hidden = rounded_channels(expanded * width)
        settings = BlockSettings(
            hidden,
            rounded_channels(out * width),
            kernel_size,
            step,
            nn.Hardswish if swish else nn.ReLU,
            squeezed=rounded_channels(hidden / _SQUEEZE) if squeezes else 0,
            norm=norm,
        )
        layers.append(InvertedResidual(channels, settings))
        channels, stride = settings.channels, stride * step
        ends[stage_name(stride)] = (len(layers) - 1, channels, stride)
    return StagedBackbone(layers, ends, out_features)


@BACKBONE_REGISTRY.register()
def build_mobilenet_v3_backbone(cfg: Any, input_shape: ShapeSpec) -> StagedBackbone:
    """From ``MODEL.YOLO.BACKBONE.MOBILENET`` and ``OUT_FEATURES``."""
    node = cfg.MODEL.YOLO.BACKBONE
    return mobilenet_v3(
        node.MOBILENET.VARIANT,
        node.OUT_FEATURES,
        width=node.MOBILENET.WIDTH,
        norm=node.MOBILENET.NORM,
        in_channels=input_shape.channels or 3,
    )
