"""Levels that divide [-v, v] into equal steps, without zero (AQD, arXiv 2007.06919, equation 2)."""

import torch
from torch import Tensor

from .grid import Grid, broadcast, refuse_nan

# 2 ** 8 - 1 = 255 is no INT8 code, and wider types of codes have no fast integer arithmetic to gain from.
MOST_EXACT_BITS = 7


class IntervalGrid(Grid):
    """``value = code * scale`` with odd codes -(2^b - 1), ..., -1, 1, ..., 2^b - 1; ``scale = v / (2^b - 1)``.

    The step between levels is ``2 * scale``. Up to 7 bits codes are INT8 values with zero-point 0. One bit is the
    binary grid {-v, v}; zero itself becomes the level above it.

    Args:
        scale: positive, ``Tensor[]``, or ``Tensor[G]`` for G groups of channels along ``axis``.
        bits: b, at least 1.
        axis: dimension of the groups.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: Tensor, bits: int, axis: int | None = None) -> None:
        if bits < 1:
            raise ValueError(f"bits of an interval grid must be at least 1, got {bits}")
        self.scale = scale.detach().float().clone()
        self.zero_point = torch.zeros_like(self.scale, dtype=torch.int32)
        self.bits, self.axis = bits, axis
        self.index_stride, self.index_offset = 2, 1 - 2**bits

    @property
    def code_range(self) -> tuple[int, int]:
        return 1 - 2**self.bits, 2**self.bits - 1

    def codes(self, x: Tensor) -> Tensor:
        refuse_nan(x)
        half_count = 2 ** (self.bits - 1)
        steps = x.float() / broadcast(2 * self.scale, x, self.axis) - 0.5
        return 2 * steps.clamp(-half_count, half_count - 1).round().int() + 1

    def values(self, codes: Tensor) -> Tensor:
        return codes.float() * broadcast(self.scale, codes, self.axis)

    def levels(self) -> Tensor:
        low, high = self.code_range
        return torch.arange(low, high + 1, 2, device=self.scale.device).float() * self.scale[..., None]

    @property
    def has_zero(self) -> bool:
        return False

    @property
    def refusal(self) -> str | None:
        if self.bits <= MOST_EXACT_BITS:
            return None
        low, high = self.code_range
        return (
            f"an interval grid of {self.bits} bits has odd codes {low} to {high}, which INT8 does not hold: use at "
            f"most {MOST_EXACT_BITS} bits, or grid 'integer'"
        )

    @property
    def packed_refusal(self) -> str | None:
        return (
            f"an interval grid has no zero: counted from 0 in {self.bits} bits its zero-point is "
            f"{(2**self.bits - 1) / 2}, not a whole number. Store odd codes in INT8, or indices with the rule "
            f"value = ({self.index_stride} * index - {-self.index_offset}) * scale"
        )
