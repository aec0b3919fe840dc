"""The range that keeps the distribution's information."""

import numpy as np
import torch
from numpy.typing import NDArray

from ...grids.levels import Levels
from ..distribution import Distribution
from ..statistics import TensorStatistics
from .registry import ObserverContext, Range, register_observer

BINS = 2048
_FIRST = 128
_STRIDE = 8

Array = NDArray[np.float64]


@register_observer("entropy")
def entropy(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """The threshold of least Kullback-Leibler divergence (Migacz, "8-bit inference with TensorRT", GTC 2017).

    Thresholds are multiples of 8 of 2048 bins of the greatest magnitude, from 128, or one a level, on. For each, the
    reference is the histogram within the threshold with all that lies beyond in its outermost bins; it is compared
    with the histogram that its runs of bins give, one run a level, when each run's values, without those from beyond,
    are spread over its bins that are not empty. Symmetric levels: of magnitudes. Otherwise the threshold cuts both
    ends of the range, so that a short end stays whole.
    """
    greatest = max(-statistics.minimum, statistics.maximum)
    if greatest <= 0.0:
        return statistics.minimum, statistics.maximum
    values = Distribution.of(statistics)
    values = values.magnitudes() if levels.symmetric else values
    low = 0.0 if levels.symmetric else min(statistics.minimum, 0.0)
    high = greatest if levels.symmetric else max(statistics.maximum, 0.0)
    width = greatest / BINS
    below, above = int(np.ceil(-low / width - 1e-9)), int(np.ceil(high / width - 1e-9))
    counts = values.rebinned(torch.arange(-below, above + 1).double() * width).numpy()
    counts[min(below, len(counts) - 1)] += values.zeros
    number = levels.high + 1 if levels.symmetric else levels.high + 1 - levels.low
    best, least = BINS, np.inf
    # With fewer bins than levels nothing would be lost but what is clipped.
    for bins in range(BINS, max(_FIRST, number) - 1, -_STRIDE):
        divergence = _divergence(counts, max(below - bins, 0), min(below + bins, len(counts)), number)
        if divergence < least:
            best, least = bins, divergence
    threshold = best * width
    return (-threshold, threshold) if levels.symmetric else (max(low, -threshold), min(high, threshold))


def _divergence(counts: Array, first: int, end: int, number: int) -> float:
    """Of the counts from ``first`` to ``end`` on ``number`` levels."""
    inside = counts[first:end]
    reference = inside.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[end:].sum()
    number = min(number, len(inside))
    starts = np.arange(number) * len(inside) // number
    occupied = inside > 0
    bins = np.add.reduceat(occupied, starts, dtype=np.float64)
    means = np.add.reduceat(inside, starts) / np.maximum(bins, 1.0)
    spread = np.repeat(means, np.diff(starts, append=len(inside))) * occupied
    return _kullback_leibler(reference, spread)


def _kullback_leibler(p: Array, q: Array) -> float:
    """Of counts; where q is empty but p is not, it counts as a millionth, for the logarithm to be finite."""
    some = p > 0
    p, q = p[some] / max(p.sum(), 1.0), q[some] / max(q.sum(), 1.0)
    return float((p * np.log(p / np.maximum(q, 1e-6))).sum())
