"""A histogram in constant memory that grows with the values it is given."""

import math

import torch
from torch import Tensor

from ..functional.histogram import add_to_histogram

HALF = 2048  # bins on either side of zero; more than half of them in use, so 4 or more for each level of 8 bits
_NARROWEST = 2.0**-120


class GrowingHistogram:
    """How many of all values lie in which bin.

    Bins lie on either side of zero, and their width is the least power of two with which they reach all values. When
    a value lies beyond, neighbours are merged in pairs, which is exact: the histogram is that of all values at the
    present width, in whatever order they came.

    Attributes:
        width: of a bin; 0 while all values are zero.
        counts: float64 ``Tensor[4097]``: values in each bin ``[i * width, (i + 1) * width)``, i from -2048, and last
            the values that are exactly zero, which have a bin as well.
    """

    def __init__(self) -> None:
        self.width = 0.0
        self.counts = torch.zeros(2 * HALF + 1, dtype=torch.float64)

    def add(self, x: Tensor, channel_axis: int) -> tuple[Tensor, Tensor]:
        """Count the values of a tensor.

        Args:
            x: of two dimensions or more, with values.
            channel_axis: dimension of its channels.

        Returns:
            minimum and maximum of each channel, ``Tensor[C]`` on the CPU.

        Raises:
            FloatingPointError: values that are NaN or infinite; nothing is counted.
        """
        low, high = self._count(x, channel_axis)
        minimum, maximum = low.min().item(), high.max().item()
        if not (math.isfinite(minimum) and math.isfinite(maximum)):
            raise FloatingPointError("values that are NaN or infinite have no range")
        width = _width_for(max(-minimum, maximum))
        if width > self.width:
            self._widen(width)
            self._count(x, channel_axis)
        elif self.width == 0.0:
            self.counts[[HALF, -1]] += x.numel()
        return low, high

    def merge(self, other: "GrowingHistogram") -> None:
        """Add what another has counted."""
        self._widen(other.width)
        self.counts += _merged(other.counts, other.width, self.width)

    def _count(self, x: Tensor, channel_axis: int) -> tuple[Tensor, Tensor]:
        """Extremes of the channels; values are counted if all have a bin."""
        # Without a width a histogram that nothing can enter stands in for the real one.
        counts, width = (self.counts, self.width) if self.width else (self.counts.new_zeros(3), _NARROWEST)
        if x.device.type == "cpu":
            return add_to_histogram(counts, x, width, channel_axis)
        there = counts.to(x.device)
        low, high = add_to_histogram(there, x, width, channel_axis)
        counts.copy_(there)
        return low.cpu(), high.cpu()

    def _widen(self, width: float) -> None:
        if width > self.width:
            self.counts = _merged(self.counts, self.width, width)
            self.width = width


def _width_for(largest: float) -> float:
    """The least power of two with which bins reach beyond a magnitude; 0 for zero."""
    if largest == 0.0:
        return 0.0
    mantissa, exponent = math.frexp(largest)  # largest < 2 ** exponent
    return max(math.ldexp(1.0, exponent) / HALF, _NARROWEST)


def _merged(counts: Tensor, width: float, wider: float) -> Tensor:
    """The counts in bins of a width in bins of another, a power of two times as wide; the zeros stay."""
    if width == 0.0 or width == wider:
        return counts.clone()
    times = min(round(wider / width), HALF)
    sums = counts[:-1].view(-1, times).sum(1)
    made = torch.zeros_like(counts)
    first = HALF - HALF // times
    made[first : first + sums.numel()] = sums
    made[-1] = counts[-1]
    return made
