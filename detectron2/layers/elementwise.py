"""Parameter-free steps between layers, as modules, so that each can be found by name and replaced on its own."""

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
