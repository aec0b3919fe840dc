"""From values to places in a drawing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ...model import Number
from ..numbers import known


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic scale.

    Attributes:
        low, high: values at its ends.
        begin, end: their places.
        log: logarithmic; values are above 0 then.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; those beyond the ends are put on them."""
        low, high = self._of(self.low), self._of(self.high)
        share = (self._of(value) - low) / (high - low) if high > low else 0.5
        return self.begin + (self.end - self.begin) * min(max(share, 0.0), 1.0)

    def _of(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.log else value

    def ticks(self, count: int = 5) -> list[float]:
        """About so many round values between the ends."""
        step = nice_step((self.high - self.low) / max(count, 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def nice_step(rough: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is no less than a number."""
    if not rough > 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough * (1 - 1e-9)), 10 * power)


def extent(values: Iterable[Number], *, zero: bool = False) -> tuple[float, float]:
    """Least and largest of the finite values, never equal; with ``zero``, zero is between them."""
    found = [value for value in values if value is not None and known(value)] + ([0.0] if zero else [])
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    if low == high:
        return low - (0.0 if zero and low >= 0 else 0.5), high + 0.5
    return low, high
