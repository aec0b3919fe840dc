"""How the values of a tensor are spread, as far as a histogram tells."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .growing_histogram import HALF
from .statistics import TensorStatistics


@dataclass(frozen=True)
class Distribution:
    """A histogram's occupied part: values spread evenly within each bin, and exact zeros beside them.

    Attributes:
        edges: of the bins, increasing, float64 ``Tensor[B + 1]``.
        counts: values in each bin but the exact zeros, float64 ``Tensor[B]``.
        zeros: values that are zero.
    """

    edges: Tensor
    counts: Tensor
    zeros: float

    @classmethod
    def of(cls, statistics: TensorStatistics, bins: int = 2 * HALF) -> "Distribution":
        """The histogram of a tensor's statistics, neighbours merged until at most ``bins`` are left.

        The first and last edges are the extremes themselves.
        """
        counts = statistics.histogram.clone()
        counts[HALF] -= statistics.zeros
        used = counts.nonzero().view(-1)
        if used.numel() == 0:
            return cls(torch.tensor([0.0, 1.0]).double(), counts[HALF : HALF + 1], float(statistics.zeros))
        first, last, times = int(used[0]), int(used[-1]), 1
        while last // times - first // times >= bins:
            times *= 2
        first, last = first // times, last // times
        counts = counts.view(-1, times).sum(1)[first : last + 1]
        edges = (torch.arange(first, last + 2).double() - HALF // times) * (times * statistics.width)
        edges[0] = max(float(edges[0]), statistics.minimum)
        edges[-1] = min(float(edges[-1]), statistics.maximum)
        thin = 2.0**-10 * statistics.width  # a bin that holds one value keeps some width, inside of the extremes
        edges[-2] = min(float(edges[-2]), float(edges[-1]) - thin)
        if len(edges) > 2:
            edges[1] = max(float(edges[1]), float(edges[0]) + thin)
        return cls(edges, counts, float(statistics.zeros))

    @property
    def total(self) -> float:
        """All values."""
        return float(self.counts.sum()) + self.zeros

    def below(self, x: Tensor) -> Tensor:
        """How many values, zeros left out, lie below each entry of a float64 tensor."""
        return _linear(self.edges, self._cumulative(), x)

    def share_between(self, low: float, high: float) -> float:
        """The share of values from ``low`` to ``high``."""
        ends = self.below(self.edges.new_tensor([low, high]))
        zeros = self.zeros if low <= 0.0 <= high else 0.0
        return (float(ends[1] - ends[0]) + zeros) / max(self.total, 1.0)

    def quantile(self, share: float) -> float:
        """The value that this share of the values does not exceed."""
        zero, cumulative = self.edges.new_zeros(1), self._cumulative()
        before = self.below(zero)
        i = int(torch.searchsorted(self.edges, zero))
        xs = torch.cat([self.edges[:i], zero, zero, self.edges[i:]])
        ys = torch.cat([cumulative[:i], before, before + self.zeros, cumulative[i:] + self.zeros])
        return float(_linear(ys, xs, ys.new_tensor([share * self.total])))

    def magnitudes(self) -> "Distribution":
        """The distribution of the absolute values."""
        edges = torch.unique(torch.cat([self.edges.abs(), self.edges.new_zeros(1)]))
        counts = (self.below(edges) - self.below(-edges)).diff()
        return Distribution(edges, counts, self.zeros)

    def rebinned(self, edges: Tensor) -> Tensor:
        """Values, zeros left out, between neighbours of other edges: ``Tensor[E - 1]``."""
        return self.below(edges).diff()

    def mean_square(self) -> float:
        """Mean of the squares of all values."""
        means = (self.edges**3).diff() / (3.0 * self.edges.diff())
        return float((means * self.counts).sum()) / max(self.total, 1.0)

    def _cumulative(self) -> Tensor:
        return torch.cat([self.counts.new_zeros(1), self.counts.cumsum(0)])


def _linear(xs: Tensor, ys: Tensor, x: Tensor) -> Tensor:
    """The piecewise linear function through points of increasing ``xs`` at ``x``; constant beyond them."""
    i = torch.searchsorted(xs, x.contiguous()).clamp(1, len(xs) - 1)
    width = (xs[i] - xs[i - 1]).clamp_min(torch.finfo(torch.float64).tiny)
    return torch.lerp(ys[i - 1], ys[i], ((x - xs[i - 1]) / width).clamp(0.0, 1.0))
