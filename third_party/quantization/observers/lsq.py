"""Ranges from the moments of the data, as the papers on learned steps start."""

import math

import torch
from torch import Tensor

from ..grids.levels import Levels
from ..spec import QuantSpec
from .max import max_range
from .registry import Range, register_estimator

# LSQ+ takes three standard deviations to either side of the mean (arXiv 2004.09576, section 3.2).
_DEVIATIONS = 3.0


@register_estimator("lsq")
def lsq_range(x: Tensor, levels: Levels, spec: QuantSpec) -> Range:
    """The range in which a step is ``2 mean|x| / sqrt(Qp)`` (LSQ, arXiv 1902.08153, section 2.1), if data reach so far.

    Qp is the number of steps to the highest level, at least 1. Where the rule goes beyond the largest magnitude, the
    range ends there. Asymmetric levels, for which LSQ has no rule, take the
    mean plus and minus three standard deviations, as far as the data reach (after LSQ+).

    Args:
        x: finite, ``Tensor[G, N]``.
        levels: their span is Qp.
        spec: not used.
    """
    largest = x.abs().amax(1, keepdim=True)
    # Sums of large numbers stay finite when taken relative to the largest.
    unit = torch.where(largest > 0, largest, torch.ones_like(largest))
    relative, unit = x / unit, unit[:, 0]
    if levels.symmetric:
        step = 2.0 * relative.abs().mean(1) / math.sqrt(max(levels.span, 1.0))
        # At 8 bits the rule asks for several times the largest value: most levels would never be used.
        top = (step * levels.span).clamp_max(1.0) * unit
        return -top, top
    mean, deviation = relative.mean(1), relative.std(1, correction=0)
    least, most = max_range(x, levels, spec)
    bottom = torch.maximum((mean - _DEVIATIONS * deviation) * unit, least)
    return bottom, torch.minimum((mean + _DEVIATIONS * deviation) * unit, most)
