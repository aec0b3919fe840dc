"""Downsampling in two steps, channels first, then pixels."""

from torch import Tensor, nn

from .conv import conv_bn_act


class SCDown(nn.Module):
    """A pointwise convolution, then a depthwise one with a stride (YOLOv10, spatial-channel decoupled downsampling)."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 2) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            kernel_size, stride: of the depthwise convolution.
        """
        super().__init__()
        self.pointwise = conv_bn_act(in_channels, out_channels)
        self.depthwise = conv_bn_act(
            out_channels, out_channels, kernel_size=kernel_size, stride=stride, groups=out_channels, activation=None
        )

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H / stride, W / stride]``."""
        return self.depthwise(self.pointwise(x))
