"""Spatial pyramid pooling in one branch of a cross-stage partial block (Scaled-YOLOv4, section 3.2; YOLOv7)."""

from collections.abc import Callable

from torch import Tensor, nn

from detectron2.layers import Concat

from .conv import conv_bn_act, silu

WINDOWS = (5, 9, 13)


def _pools() -> nn.ModuleList:
    return nn.ModuleList(nn.MaxPool2d(size, stride=1, padding=size // 2) for size in WINDOWS)


class PyramidCSP(nn.Module):
    """Three convolutions, the pooling and two more convolutions, beside a branch of one convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
        """
        super().__init__()
        self.before = nn.Sequential(
            conv_bn_act(in_channels, out_channels),
            conv_bn_act(out_channels, out_channels, kernel_size=3),
            conv_bn_act(out_channels, out_channels),
        )
        self.pools = _pools()
        self.concat_pools = Concat()
        self.after = nn.Sequential(
            conv_bn_act((len(WINDOWS) + 1) * out_channels, out_channels),
            conv_bn_act(out_channels, out_channels, kernel_size=3),
        )
        self.past = conv_bn_act(in_channels, out_channels)
        self.concat = Concat()
        self.merge = conv_bn_act(2 * out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        y = self.before(x)
        pooled = self.concat_pools([y, *(pool(y) for pool in self.pools)])
        return self.merge(self.concat([self.after(pooled), self.past(x)]))


class TinyPyramidCSP(nn.Module):
    """The same with one convolution in front of the pooling and one behind it."""

    def __init__(self, in_channels: int, out_channels: int, *, activation: Callable[[], nn.Module] = silu) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            activation: makes the activation of a convolution.
        """
        super().__init__()
        self.past = conv_bn_act(in_channels, out_channels, activation=activation)
        self.before = conv_bn_act(in_channels, out_channels, activation=activation)
        self.pools = _pools()
        self.concat_pools = Concat()
        self.after = conv_bn_act((len(WINDOWS) + 1) * out_channels, out_channels, activation=activation)
        self.concat = Concat()
        self.merge = conv_bn_act(2 * out_channels, out_channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        y = self.before(x)
        parts = [y, *(pool(y) for pool in self.pools)]
        return self.merge(self.concat([self.after(self.concat_pools(parts[::-1])), self.past(x)]))
