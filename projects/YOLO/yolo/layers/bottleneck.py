"""The residual block of two convolutions, and a chain of such blocks."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from detectron2.layers.elementwise import Add

from .conv import conv_bn_act, silu
from .reparam import ReparamConv
from .separable import SeparableConv


class Bottleneck(nn.Module):
    """Two convolutions and, where the channels allow it, a connection around them (YOLOv3, section 2.3)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        shortcut: bool = True,
        kernels: tuple[int, int] = (1, 3),
        expansion: float = 0.5,
        depthwise: bool = False,
        reparameterized: bool = False,
        activation: Callable[[], nn.Module] = silu,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            shortcut: add the input, if it has as many channels as the output.
            kernels: sizes of the two convolutions.
            expansion: channels between the two, as a fraction of ``out_channels``.
            depthwise: make the second convolution a depthwise separable one.
            reparameterized: make the first convolution a :class:`ReparamConv`, whatever the size in ``kernels``.
            activation: makes the activation of convolutions that are neither of these two.
        """
        super().__init__()
        hidden = int(out_channels * expansion)
        plain = partial(conv_bn_act, activation=activation)
        second: Callable[..., nn.Module] = SeparableConv if depthwise else plain
        self.first = (
            ReparamConv(in_channels, hidden) if reparameterized else plain(in_channels, hidden, kernel_size=kernels[0])
        )
        self.second = second(hidden, out_channels, kernel_size=kernels[1])
        self.add = Add() if shortcut and in_channels == out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        y = self.second(self.first(x))
        return y if self.add is None else self.add(x, y)


class BottleneckChain(nn.Sequential):
    """Bottlenecks one after the other, as in Darknet-53 (YOLOv3, table 1)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        repeats: int,
        shortcut: bool = True,
        activation: Callable[[], nn.Module] = silu,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            repeats: number of blocks.
            shortcut, activation: as of :class:`Bottleneck`.
        """
        widths = [in_channels] + [out_channels] * (repeats - 1)
        options = {"shortcut": shortcut, "activation": activation}
        super().__init__(*(Bottleneck(width, out_channels, **options) for width in widths))
