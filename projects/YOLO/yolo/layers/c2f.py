"""Cross-stage partial block that keeps the output of each of its inner blocks."""

from collections.abc import Callable

from torch import Tensor, nn

from detectron2.layers import Concat

from .bottleneck import Bottleneck
from .conv import conv_bn_act


class C2f(nn.Module):
    """One half of the expanded channels runs through inner blocks, and all that comes between is joined (YOLOv8)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        repeats: int = 1,
        shortcut: bool = False,
        expansion: float = 0.5,
        make_block: Callable[[int], nn.Module] | None = None,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            repeats: number of inner blocks.
            shortcut: connections around the bottlenecks.
            expansion: channels of an inner block, as a fraction of ``out_channels``.
            make_block: makes an inner block that keeps the given number of channels; None for 3 x 3 bottlenecks.
        """
        super().__init__()
        hidden = int(out_channels * expansion)

        def bottleneck(channels: int) -> nn.Module:
            return Bottleneck(channels, channels, shortcut=shortcut, kernels=(3, 3), expansion=1.0)

        make = make_block or bottleneck
        self.expand = conv_bn_act(in_channels, 2 * hidden)
        self.blocks = nn.ModuleList(make(hidden) for _ in range(repeats))
        self.concat = Concat()
        self.merge = conv_bn_act((2 + repeats) * hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        parts = list(self.expand(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.merge(self.concat(parts))
