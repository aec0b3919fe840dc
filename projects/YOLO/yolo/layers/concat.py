"""Concatenation of feature maps as a module, so that quantization can give all of its inputs one scale."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Concat(nn.Module):
    """Joins feature maps along one dimension."""

    def __init__(self, dim: int = 1) -> None:
        """
        Args:
            dim: the dimension to join along; 1 is the channels.
        """
        super().__init__()
        self.dim = dim

    def forward(self, tensors: Sequence[Tensor]) -> Tensor:
        """Maps ``Tensor[N, C_i, H, W]`` -> ``Tensor[N, sum of C_i, H, W]`` (for ``dim=1``)."""
        return torch.cat(list(tensors), self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
