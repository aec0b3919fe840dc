"""Grids of activations as plain numbers: hashable, and written to files as they are."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..grids.grid import broadcast, refuse_nan

# Types of integers in tensors, narrowest first. PyTorch computes little with unsigned ones but uint8.
STORAGE = (
    (torch.int8, -128, 127),
    (torch.uint8, 0, 255),
    (torch.int16, -(2**15), 2**15 - 1),
    (torch.int32, -(2**31), 2**31 - 1),
)


def storage_type(low: int, high: int) -> torch.dtype:
    """The narrowest type of tensors that holds whole numbers from ``low`` to ``high``."""
    return next((dtype for dtype, lowest, highest in STORAGE if lowest <= low and high <= highest), torch.int64)


@dataclass(frozen=True)
class CodeGrid:
    """Levels ``(k - zero_point + h) * step`` for k from ``low`` to ``high``; h is 1/2 with ``half``, else 0.

    The code of level k is k, and ``2 k + 1`` with ``half``, so that always ``value = (code - zero_point) * unit``.

    Attributes:
        step: distance of levels, a float32 number.
        zero_point: one, or one a channel along ``axis``; 0 with ``half``.
        low, high: numbers of the lowest and highest level.
        half: levels lie half a step beside zero.
        axis: dimension of the channels; None with one zero-point.
    """

    step: float
    zero_point: tuple[int, ...]
    low: int
    high: int
    half: bool = False
    axis: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.step < float("inf"):
            raise ValueError(f"the step of a grid must be positive and finite, got {self.step}")
        if self.half and any(self.zero_point):
            raise ValueError(f"a grid of half steps has zero-point 0, got {self.zero_point}")

    @property
    def unit(self) -> float:
        """Value of one code."""
        return self.step / 2 if self.half else self.step

    @property
    def stride(self) -> int:
        """Difference of neighbouring codes."""
        return 2 if self.half else 1

    @property
    def first(self) -> int:
        """The lowest code."""
        return 2 * self.low + 1 if self.half else self.low

    @property
    def last(self) -> int:
        """The highest code."""
        return 2 * self.high + 1 if self.half else self.high

    @property
    def dtype(self) -> torch.dtype:
        """The narrowest type of tensors that holds all codes."""
        return storage_type(self.first, self.last)

    @property
    def reach(self) -> int:
        """The largest distance of a code from zero."""
        zeros = self.zero_point
        return max(abs(code - zero) for code in (self.first, self.last) for zero in (min(zeros), max(zeros)))

    def zero_points(self) -> Tensor:
        """int32 ``Tensor[]``, or ``Tensor[C]`` along ``axis``."""
        zeros = torch.tensor(self.zero_point, dtype=torch.int32)
        return zeros[0] if self.axis is None else zeros

    def levels(self, x: Tensor) -> Tensor:
        """int32 numbers of the nearest levels of ``x``, in the float32 arithmetic of fake quantization.

        Raises:
            FloatingPointError: ``x`` holds NaN, which has no code.
        """
        refuse_nan(x)
        zero = broadcast(self.zero_points().to(x.device).float(), x, self.axis)
        step = torch.tensor(self.step, dtype=torch.float32, device=x.device)
        return (x.float() / step + (zero - 0.5 * self.half)).clamp(self.low, self.high).round().int()

    def codes(self, x: Tensor) -> Tensor:
        """int32 codes of the nearest levels of ``x``."""
        levels = self.levels(x)
        return 2 * levels + 1 if self.half else levels

    def values(self, codes: Tensor) -> Tensor:
        """What codes stand for, float32."""
        zero = broadcast(self.zero_points().to(codes.device), codes, self.axis)
        return (codes.int() - zero).float() * torch.tensor(self.unit, dtype=torch.float32)

    def all_codes(self) -> Tensor:
        """Every code in order, int32."""
        return torch.arange(self.first, self.last + 1, self.stride, dtype=torch.int32)
