"""Q-YOLO's unilateral histogram observer as published."""

import torch

from ...grids.levels import Levels
from ..distribution import Distribution
from ..statistics import TensorStatistics
from .registry import ObserverContext, Range, register_observer
from .unilateral import BINS, FIRST

SILU_MINIMUM = -0.2785


@register_observer("unilateral_faithful", to_the_letter=True)
def unilateral_faithful(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """Q-YOLO's observer to the letter (arXiv 2307.04816, section 3.2, algorithm 1), to compare with.

    The bottom is -0.2785, the minimum of SiLU, whatever made the tensor. The histogram has 2048 bins from zero to the
    greatest value, so that negative values do not count. Candidates for the top are the ends of bins 128 to 2048; the
    one with the least squared error of the bins' centres, weighted by their counts, is chosen. The zero-point of that
    error is not rounded, so that zero need not be a level. Where nothing is positive there is no histogram, and the
    range ends at zero.
    """
    greatest = max(statistics.maximum, 0.0)
    if greatest == 0.0:
        return SILU_MINIMUM, 0.0
    edges = torch.arange(BINS + 1).double() * (greatest / BINS)
    counts = Distribution.of(statistics).rebinned(edges)
    counts[0] += statistics.zeros
    centres = (edges[1:] + edges[:-1]) / 2
    tops = edges[FIRST:]
    steps = (tops - SILU_MINIMUM) / (levels.high - levels.low)
    errors = torch.cat([_errors(centres, counts, some, levels) for some in steps.split(128)])
    return SILU_MINIMUM, float(tops[errors.argmin()])


def _errors(centres: torch.Tensor, counts: torch.Tensor, steps: torch.Tensor, levels: Levels) -> torch.Tensor:
    codes = ((centres - SILU_MINIMUM) / steps[:, None]).round_().clamp_(0, levels.high - levels.low)
    return ((codes * steps[:, None] + SILU_MINIMUM - centres).square() * counts).sum(1)
