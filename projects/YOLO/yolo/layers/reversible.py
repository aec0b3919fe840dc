"""The auxiliary branch of programmable gradient information (YOLOv9, section 4.1; CBNet, section 3)."""

from collections.abc import Sequence

from torch import Tensor, nn

from detectron2.layers import Conv2d
from detectron2.layers.elementwise import Add, UpsampleTo


class SideConv(nn.Module):
    """A bare 1 x 1 convolution whose channels are shares for several levels of the other branch."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """
        Args:
            in_channels: channels of the input.
            out_channels: channels of all shares together.
        """
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        return self.conv(x)


class SideFuse(nn.Module):
    """Adds shares of coarser maps to a map of the other branch."""

    def __init__(self, in_channels: Sequence[int], out_channels: int, *, offsets: Sequence[int]) -> None:
        """
        Args:
            in_channels: channels of the inputs; the last input is the map that is added to.
            out_channels: channels of the last input.
            offsets: where the share begins, for each other input.

        Raises:
            ValueError: a share ends behind the channels of its input, or the number of offsets is wrong.
        """
        super().__init__()
        if len(offsets) != len(in_channels) - 1 or in_channels[-1] != out_channels:
            raise ValueError(f"inputs of {in_channels} channels do not fit offsets {offsets} and {out_channels} out")
        if any(offset + out_channels > width for offset, width in zip(offsets, in_channels, strict=False)):
            raise ValueError(f"shares of {out_channels} channels at {offsets} do not fit inputs of {in_channels}")
        self.channels, self.offsets = out_channels, tuple(offsets)
        self.resize = UpsampleTo()
        self.adds = nn.ModuleList(Add() for _ in offsets)

    def forward(self, tensors: Sequence[Tensor]) -> Tensor:
        """Maps ``Tensor[N, C_i, H_i, W_i]`` -> ``Tensor[N, out, H, W]`` of the size of the last one."""
        *sides, total = tensors
        for side, offset, add in zip(sides, self.offsets, self.adds, strict=True):
            total = add(total, self.resize(side.narrow(1, offset, self.channels), total))
        return total
