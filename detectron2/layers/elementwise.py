"""Parameter-free steps between layers, as modules, so that each can be found by name and replaced on its own."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Add(nn.Module):
    """Sum of two feature maps: a residual connection, or the merge of two pyramid levels."""

    def __init__(self, inplace: bool = False) -> None:
        """
        Args:
            inplace: put the sum where the first map was; for a map that nothing else needs. Memory that is in use
                already makes the sum several times faster on a CPU.
        """
        super().__init__()
        self.inplace = inplace

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a.add_(b) if self.inplace else a + b

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


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


class UpsampleTo(nn.Module):
    """Resizes a feature map to the height and width of another one.

    Asking for the size and not for a factor keeps levels whose sizes are odd in step.
    """

    def __init__(self, mode: str = "nearest") -> None:
        """
        Args:
            mode: interpolation, as ``torch.nn.functional.interpolate`` names it.
        """
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """``Tensor[N, C, h, w]`` -> ``Tensor[N, C, H, W]``, where ``reference`` is ``Tensor[..., H, W]``."""
        return F.interpolate(x, size=reference.shape[-2:], mode=self.mode)

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"
