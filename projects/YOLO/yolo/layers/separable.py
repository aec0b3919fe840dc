"""Depthwise separable convolution."""

from torch import Tensor, nn

from .conv import conv_bn_act, depthwise


class SeparableConv(nn.Module):
    """A depthwise convolution followed by a pointwise one, each with normalisation and activation (MobileNet)."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            kernel_size, stride: of the depthwise part.
        """
        super().__init__()
        self.depthwise = depthwise(in_channels, in_channels, kernel_size=kernel_size, stride=stride)
        self.pointwise = conv_bn_act(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H / stride, W / stride]``."""
        return self.pointwise(self.depthwise(x))
