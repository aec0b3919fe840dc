"""Downsampling that looks at means of neighbours first (YOLOv9, GELAN)."""

from torch import Tensor, nn

from detectron2.layers import Concat

from .conv import conv_bn_act


class AConv(nn.Module):
    """Means of 2 x 2 pixels, then a 3 x 3 convolution with stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
        """
        super().__init__()
        self.mean = nn.AvgPool2d(2, stride=1)
        self.conv = conv_bn_act(in_channels, out_channels, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` with even H and W -> ``Tensor[N, out, H / 2, W / 2]``."""
        return self.conv(self.mean(x))


class ADown(nn.Module):
    """Means of 2 x 2 pixels; then a convolution with stride 2 for one half, maxima with stride 2 for the other."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output, even numbers.
        """
        super().__init__()
        self.mean = nn.AvgPool2d(2, stride=1)
        self.conv = conv_bn_act(in_channels // 2, out_channels // 2, kernel_size=3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.pointwise = conv_bn_act(in_channels // 2, out_channels // 2)
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` with even H and W -> ``Tensor[N, out, H / 2, W / 2]``."""
        first, second = self.mean(x).chunk(2, 1)
        return self.concat([self.conv(first), self.pointwise(self.pool(second))])
