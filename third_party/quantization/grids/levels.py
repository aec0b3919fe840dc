"""How the levels of an affine grid are numbered: what follows from bits, sign and kind of grid alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Steps below it would make quotients overflow.
SMALLEST_STEP = 1e-8


@dataclass(frozen=True)
class Levels:
    """Numbers k of the levels ``(k - zero_point + h) * step``; h is 1/2 with ``half``, else 0.

    Attributes:
        low, high: numbers of the lowest and highest level.
        half: levels lie half a step beside zero, as many on either side.
        symmetric: the zero-point is 0.
    """

    low: int
    high: int
    half: bool
    symmetric: bool

    @property
    def span(self) -> float:
        """Steps from zero to the highest level; from the lowest to the highest with a zero-point."""
        return self.high + 0.5 * self.half if self.symmetric else self.high - self.low

    @classmethod
    def of(
        cls, bits: int, signed: bool, *, symmetric: bool = True, interval: bool = False, narrow: bool = False
    ) -> "Levels":
        """The levels of a width.

        Args:
            bits: width, at least 1.
            signed: levels on both sides of zero; an asymmetric grid always has them as its zero-point decides.
            symmetric: no zero-point.
            interval: a signed grid divides [-v, v] into ``2 ** bits - 1`` equal steps, so that none is zero.
            narrow: a signed grid with zero has as many levels below as above.

        Raises:
            ValueError: one signed bit on a grid with zero, which leaves no positive level.
        """
        if not symmetric or not signed:
            return cls(0, 2**bits - 1, half=False, symmetric=symmetric)
        highest = 2 ** (bits - 1) - 1
        if interval:
            return cls(-highest - 1, highest, half=True, symmetric=True)
        if highest < 1:
            raise ValueError("1 signed bit on the integer grid has no positive level: use grid 'interval' or 2 bits")
        return cls(-highest if narrow else -highest - 1, highest, half=False, symmetric=True)

    def place(self, bottom: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
        """Step and zero-point (not rounded) of a clipping range.

        Args:
            bottom, top: its finite ends, bottom at most 0, top at least 0; symmetric levels look at the top only. A
                range without width becomes [0, 1], or [-1, 1].
        """
        highest = top / self.span
        lowest = torch.zeros_like(bottom) if self.symmetric else bottom / self.span
        width = highest - lowest
        step = torch.where(width > 0, width, torch.full_like(width, 1.0 / self.span)).clamp_min(SMALLEST_STEP)
        if self.symmetric:
            return step, torch.zeros_like(step)
        return step, (self.low - bottom / step).clamp(self.low, self.high)

    def ends(self, step: Tensor, zero_point: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest level; inverse of :meth:`place` but for the lowest of symmetric levels."""
        half = 0.5 * self.half
        return (self.low - zero_point + half) * step, (self.high - zero_point + half) * step
