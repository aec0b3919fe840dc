"""Compact inverted block, and C2f made of such blocks (YOLOv10, section 3.2)."""

from torch import Tensor, nn

from detectron2.layers.elementwise import Add

from .c2f import C2f
from .conv import conv_bn_act, depthwise
from .reparam import LargeKernelConv


class CompactInvertedBlock(nn.Module):
    """Depthwise convolutions for the pixels between pointwise ones for the channels."""

    def __init__(self, channels: int, *, shortcut: bool = True, large_kernel: bool = False) -> None:
        """
        Args:
            channels: of input and output.
            shortcut: add the input.
            large_kernel: 7 x 7 windows beside 3 x 3 ones in the middle.
        """
        super().__init__()
        middle = 2 * channels
        self.layers = nn.Sequential(
            depthwise(channels, channels),
            conv_bn_act(channels, middle),
            LargeKernelConv(middle) if large_kernel else depthwise(middle, middle),
            conv_bn_act(middle, channels),
            depthwise(channels, channels),
        )
        self.add = Add() if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        y = self.layers(x)
        return y if self.add is None else self.add(x, y)


class C2fCIB(C2f):
    """:class:`C2f` of compact inverted blocks."""

    def __init__(self, in_channels: int, out_channels: int, *, repeats: int = 1, large_kernel: bool = False) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            repeats: number of inner blocks.
            large_kernel: as of :class:`CompactInvertedBlock`.
        """

        def block(channels: int) -> nn.Module:
            return CompactInvertedBlock(channels, large_kernel=large_kernel)

        super().__init__(in_channels, out_channels, repeats=repeats, make_block=block)
