"""C2f with a choice of inner blocks."""

from typing import Literal

from torch import nn

from .attention import AttentionBlock
from .bottleneck import Bottleneck
from .c2f import C2f
from .c3 import C3

Inner = Literal["bottleneck", "c3", "attention"]


class C3k2(C2f):
    """:class:`C2f` whose inner blocks are narrow bottlenecks, :class:`C3` blocks, or bottlenecks with attention."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        repeats: int = 1,
        inner: Inner = "bottleneck",
        expansion: float = 0.5,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            repeats: number of inner blocks.
            inner: the kind of inner block.
            expansion: channels of an inner block, as a fraction of ``out_channels``.
        """
        super().__init__(in_channels, out_channels, repeats=repeats, expansion=expansion, make_block=_MAKERS[inner])


def c3_of_two(channels: int) -> C3:
    """A :class:`C3` of two bottlenecks with 3 x 3 convolutions that keeps the number of channels."""
    return C3(channels, channels, repeats=2, kernels=(3, 3))


def _bottleneck(channels: int) -> Bottleneck:
    return Bottleneck(channels, channels, kernels=(3, 3))


def _bottleneck_with_attention(channels: int) -> nn.Sequential:
    return nn.Sequential(_bottleneck(channels), AttentionBlock(channels))


_MAKERS = {"bottleneck": _bottleneck, "c3": c3_of_two, "attention": _bottleneck_with_attention}
