"""The sum of two rows of a table."""

from collections.abc import Sequence

from torch import Tensor, nn

from detectron2.layers.elementwise import Add


class Sum(nn.Module):
    """Adds two feature maps of the same shape."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        """
        Args:
            in_channels: channels of the two inputs, both ``out_channels``.
            out_channels: channels of the output.

        Raises:
            ValueError: the channels differ.
        """
        super().__init__()
        if tuple(in_channels) != (out_channels, out_channels):
            raise ValueError(f"a sum of two maps with {out_channels} channels cannot have inputs of {in_channels}")
        self.add = Add()

    def forward(self, tensors: Sequence[Tensor]) -> Tensor:
        """Two maps ``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        return self.add(tensors[0], tensors[1])
