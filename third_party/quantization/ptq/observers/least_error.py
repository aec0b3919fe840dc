"""Search for the range of least error, by any power of it."""

import torch
from torch import Tensor

from ...grids.levels import Levels
from ..distribution import Distribution
from ..range_error import range_error
from ..statistics import TensorStatistics
from .registry import Range

_COARSE_BINS = 512
_SHARES = 64
_NEIGHBOURS = 8


def least_error(statistics: TensorStatistics, levels: Levels, power: float) -> Range:
    """The part of the full range with the least mean of ``|q(x) - x| ** power``.

    A search over 64 shares of the full range and then 16 more around the best: with symmetric levels of the top
    alone; otherwise of both ends together, then of the top alone, the bottom alone, and the top again.
    """
    low, high = min(statistics.minimum, 0.0), max(statistics.maximum, 0.0)
    if levels.symmetric:
        high = max(high, -low) if levels.low < 0 else high
        low = -high
    if high == low:
        return low, high
    search = _Search(statistics, levels, power)
    best = search.along(torch.tensor([low, high]).double(), torch.tensor([low, high]).double())
    if not levels.symmetric:
        for end in (1, 0, 1):
            direction = torch.zeros(2).double()
            direction[end] = (low, high)[end]
            best = search.along(best, direction)
    return float(best[0]), float(best[1])


class _Search:
    def __init__(self, statistics: TensorStatistics, levels: Levels, power: float) -> None:
        self.levels, self.power = levels, power
        self.coarse = Distribution.of(statistics, _COARSE_BINS)
        self.fine = Distribution.of(statistics)

    def along(self, start: Tensor, direction: Tensor) -> Tensor:
        """The best ends, ``Tensor[2]``, with those that ``direction`` moves at a share of it, the others as before."""
        moved = direction != 0
        if not bool(moved.any()):
            return start
        shares = torch.arange(1, _SHARES + 1).double() / _SHARES
        best = shares[self._errors(self.coarse, start, direction, moved, shares).argmin()]
        around = torch.arange(-_NEIGHBOURS, _NEIGHBOURS + 1).double() / (_SHARES * (_NEIGHBOURS + 1))
        # What the other ends were found with stays in the choice, so that no step makes the error larger.
        now = (start[moved] / direction[moved])[:1]
        shares = torch.cat([(best + around).clamp(1e-3, 1.0), now])
        best = shares[self._errors(self.fine, start, direction, moved, shares).argmin()]
        return torch.where(moved, direction * best, start)

    def _errors(self, values: Distribution, start: Tensor, direction: Tensor, moved: Tensor, shares: Tensor) -> Tensor:
        ends = torch.where(moved, direction * shares[:, None], start)
        return range_error(values, ends[:, 0], ends[:, 1], self.levels, self.power)
