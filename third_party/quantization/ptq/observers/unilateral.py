"""Q-YOLO's unilateral histogram observer, with its slips put right."""

import torch

from ...grids.levels import Levels
from ..distribution import Distribution
from ..range_error import range_error
from ..statistics import TensorStatistics
from .registry import ObserverContext, Range, register_observer

BINS = 2048
FIRST = 128
_STRIDE = 8
_COARSE_BINS = 512


@register_observer("unilateral")
def unilateral(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """The top is searched, the bottom is known (Q-YOLO, arXiv 2307.04816, section 3.2).

    The bottom is the least value of the activation function that made the tensor, or the least one seen where that is
    not known. Candidates for the top are the ends of bins 128 to 2048 of 2048 between bottom and the greatest value;
    the one with the least squared error of all values, negative ones too, is chosen, on levels with a whole
    zero-point. Every eighth candidate is tried first, then all around the best.
    """
    bottom = statistics.minimum if statistics.lower_bound is None else statistics.lower_bound
    bottom, greatest = min(bottom, 0.0), max(statistics.maximum, 0.0)
    coarse, fine = Distribution.of(statistics, _COARSE_BINS), Distribution.of(statistics)

    def best(values: Distribution, bins: torch.Tensor) -> tuple[int, float]:
        tops = (bottom + (greatest - bottom) * bins.double() / BINS).clamp_min(0.0)
        errors = range_error(values, torch.full_like(tops, bottom), tops, levels)
        i = int(errors.argmin())
        return int(bins[i]), float(tops[i])

    rough, _ = best(coarse, torch.arange(FIRST, BINS + 1, _STRIDE))
    _, top = best(fine, torch.arange(max(rough - _STRIDE, FIRST), min(rough + _STRIDE, BINS) + 1))
    return bottom, top
