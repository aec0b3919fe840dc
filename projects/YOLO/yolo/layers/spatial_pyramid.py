"""Spatial pyramid pooling: maxima over windows of several sizes, side by side."""

from collections.abc import Callable

from torch import Tensor, nn

from detectron2.layers import Concat
from detectron2.layers.elementwise import Add

from .conv import conv_bn_act, silu


class SPP(nn.Module):
    """Parallel maximum pooling with several windows (SPPNet; YOLOv3-SPP)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        windows: tuple[int, ...] = (5, 9, 13),
        activation: Callable[[], nn.Module] = silu,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            windows: odd sizes of the windows in pixels of the feature map.
            activation: makes the activations.
        """
        super().__init__()
        hidden = in_channels // 2
        self.reduce = conv_bn_act(in_channels, hidden, activation=activation)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, stride=1, padding=size // 2) for size in windows)
        self.concat = Concat()
        self.merge = conv_bn_act(hidden * (len(windows) + 1), out_channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        x = self.reduce(x)
        return self.merge(self.concat([x, *(pool(x) for pool in self.pools)]))


class SPPF(nn.Module):
    """:class:`SPP` as pooling again and again with one window: twice 5 is a window of 9, three times one of 13."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        window: int = 5,
        stages: int = 3,
        shortcut: bool = False,
        reduce_activation: bool = True,
        hidden_channels: int | None = None,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            window: odd size of the window in pixels of the feature map.
            stages: number of poolings.
            shortcut: add the input, if it has as many channels as the output.
            reduce_activation: an activation behind the first convolution.
            hidden_channels: between the two convolutions; None for half of ``in_channels``.
        """
        super().__init__()
        hidden = hidden_channels or in_channels // 2
        self.stages = stages
        self.reduce = conv_bn_act(in_channels, hidden, activation=silu if reduce_activation else None)
        self.pool = nn.MaxPool2d(window, stride=1, padding=window // 2)
        self.concat = Concat()
        self.merge = conv_bn_act(hidden * (stages + 1), out_channels)
        self.add = Add() if shortcut and in_channels == out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        parts = [self.reduce(x)]
        for _ in range(self.stages):
            parts.append(self.pool(parts[-1]))
        y = self.merge(self.concat(parts))
        return y if self.add is None else self.add(x, y)
