"""Convolution, batch normalisation and activation: the step that every YOLO network is made of."""

import math
from collections.abc import Callable

from torch import nn

from detectron2.layers import Conv2d

NORM_EPS = 1e-3
NORM_MOMENTUM = 0.03


def silu() -> nn.Module:
    """The activation of most YOLO networks."""
    # In place it would keep a copy of its input for the gradient.
    return nn.SiLU()


def leaky_relu() -> nn.Module:
    """Leaky ReLU with the slope 0.1 of the Darknet networks."""
    return nn.LeakyReLU(0.1, inplace=True)


def relu() -> nn.Module:
    """Rectified linear unit."""
    return nn.ReLU(inplace=True)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the settings that all YOLO families share (eps 0.001, momentum 0.03)."""
    return nn.BatchNorm2d(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)


def conv_bn_act(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    padding: int | None = None,
    activation: Callable[[], nn.Module] | None = silu,
) -> Conv2d:
    """A convolution without bias that carries its batch normalisation and activation.

    Args:
        in_channels, out_channels, kernel_size, stride, groups: as for ``torch.nn.Conv2d``.
        padding: in pixels; None keeps the size of the map at stride 1.
        activation: makes the activation; None for none.

    Returns:
        the layer, ``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H / stride, W / stride]``, with attribute ``norm``.
    """
    return Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=kernel_size // 2 if padding is None else padding,
        groups=groups,
        bias=False,
        norm=batch_norm(out_channels),
        activation=None if activation is None else activation(),
    )


def depthwise(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    activation: Callable[[], nn.Module] | None = silu,
) -> Conv2d:
    """:func:`conv_bn_act` with as many groups as both channel counts allow (their greatest common divisor)."""
    groups = math.gcd(in_channels, out_channels)
    return conv_bn_act(
        in_channels, out_channels, kernel_size=kernel_size, stride=stride, groups=groups, activation=activation
    )
