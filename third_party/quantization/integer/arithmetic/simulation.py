"""Whole numbers in float64: what every step must give, in the plainest form."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...grids.grid import broadcast
from .base import Arithmetic, Window


class SimulatedArithmetic(Arithmetic):
    """Integer-valued operands in float64, multipliers ``c * 2 ** -d``; exact, as all stays below 2 ** 53."""

    name = "simulation"

    def take(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        return codes.double()

    def convolve(self, codes: Tensor, zero_point: Tensor, weight: Tensor, window: Window) -> Tensor:
        x, kernel = codes - broadcast(zero_point, codes, 1), weight.double()
        top, bottom, left, right = window.padding
        if window.transposed:
            full = F.conv_transpose2d(
                x, kernel, None, window.stride, 0, window.output_padding, window.groups, window.dilation
            )
            return full[:, :, top : full.shape[2] - bottom, left : full.shape[3] - right]
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, kernel, None, window.stride, 0, window.dilation, window.groups)

    def multiply(self, codes: Tensor, zero_point: Tensor, weight: Tensor) -> Tensor:
        return (codes - zero_point) @ weight.double().t()

    def combine(self, terms: Sequence[Tensor], c: Sequence[Tensor], d: Tensor, b: Tensor) -> Tensor:
        total = b.double()
        for term, multiplier in zip(terms, c, strict=True):
            total = total + term * multiplier.double()
        return torch.ldexp(total, -d).round()

    def clamp(self, numbers: Tensor, low: int, high: int) -> Tensor:
        return numbers.clamp(low, high)

    def look_up(self, codes: Tensor, table: Tensor, first: int, stride: int) -> Tensor:
        return table.double()[((codes - first) / stride).long()]

    def interpolate(self, codes: Tensor, table: Tensor, first: int, shift: int) -> Tensor:
        spacing = float(2**shift)
        place = ((codes - first) / spacing).floor()
        rest, entries = codes - first - place * spacing, table.double()
        left, right = entries[place.long()], entries[place.long() + 1]
        return left + (((right - left) * rest + spacing // 2) / spacing).floor()
