"""Parallel convolutions that one convolution can replace after training (RepVGG, section 3.3)."""

from typing import Any

from torch import Tensor, nn

from detectron2.layers import Conv2d
from detectron2.layers.elementwise import Add

from .conv import batch_norm, conv_bn_act, silu


class ReparamConv(nn.Module):
    """The sum of a 3 x 3 and a 1 x 1 convolution, optionally of the normalised input too, behind one activation.

    :func:`..fuse.fuse_reparameterized` turns it into a single convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, identity: bool = False) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            stride: of both convolutions.
            identity: add the normalised input where its shape fits.
        """
        super().__init__()
        self.large = conv_bn_act(in_channels, out_channels, kernel_size=3, stride=stride, activation=None)
        self.small = conv_bn_act(in_channels, out_channels, kernel_size=1, stride=stride, activation=None)
        keeps_shape = in_channels == out_channels and stride == 1
        self.identity = batch_norm(in_channels) if identity and keeps_shape else None
        self.add = Add()
        self.add_identity = Add() if self.identity is not None else None
        self.activation = silu()

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H / stride, W / stride]``."""
        y = self.add(self.large(x), self.small(x))
        if self.identity is not None and self.add_identity is not None:
            y = self.add_identity(y, self.identity(x))
        return self.activation(y)


class LargeKernelConv(nn.Module):
    """The sum of a 7 x 7 and a 3 x 3 depthwise convolution behind one activation (YOLOv10, section 3.2)."""

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: of input and output.
        """
        super().__init__()
        options: dict[str, Any] = {"groups": channels, "activation": None}
        self.large: Conv2d = conv_bn_act(channels, channels, kernel_size=7, **options)
        self.small: Conv2d = conv_bn_act(channels, channels, kernel_size=3, **options)
        self.add = Add()
        self.activation = silu()

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        return self.activation(self.add(self.large(x), self.small(x)))
