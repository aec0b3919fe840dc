"""Generalized efficient layer aggregation (YOLOv9, section 4.2)."""

from torch import Tensor, nn

from detectron2.layers import Concat

from .c3 import C3
from .conv import conv_bn_act


class GELAN(nn.Module):
    """One half of the expanded channels runs through two stages in a row; all that comes between is joined."""

    def __init__(self, in_channels: int, out_channels: int, *, hidden_channels: int, depth: int | None = None) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            hidden_channels: of the expansion; a stage has half of them.
            depth: bottlenecks of the :class:`C3` block of a stage, in front of its convolution; None for none of it.
        """
        super().__init__()
        width = hidden_channels // 2
        self.expand = conv_bn_act(in_channels, hidden_channels)
        self.first = _stage(width, depth)
        self.second = _stage(width, depth)
        self.concat = Concat()
        self.merge = conv_bn_act(2 * hidden_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        past, through = self.expand(x).chunk(2, 1)
        first = self.first(through)
        return self.merge(self.concat([past, through, first, self.second(first)]))


def _stage(channels: int, depth: int | None) -> nn.Module:
    conv = conv_bn_act(channels, channels, kernel_size=3)
    if depth is None:
        return conv
    return nn.Sequential(C3(channels, channels, repeats=depth, kernels=(3, 3), reparameterized=True), conv)
