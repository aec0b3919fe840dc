"""The range that clips a given share of the values."""

import math

from torch import Tensor

from ..grids.levels import Levels
from ..spec import QuantSpec
from .registry import Range, register_estimator


@register_estimator("percentile")
def percentile_range(x: Tensor, levels: Levels, spec: QuantSpec) -> Range:
    """The least range with at least the share ``spec.percentile`` of each row of ``Tensor[G, N]`` inside.

    Symmetric levels: of the magnitudes. Asymmetric ones: half of the remaining share lies beyond either end.
    """
    if levels.symmetric:
        top = _smallest_above(x.abs(), spec.percentile)
        return -top, top
    share = (1.0 + spec.percentile) / 2.0
    return -_smallest_above(-x, share), _smallest_above(x, share)


def _smallest_above(x: Tensor, share: float) -> Tensor:
    """For each row the smallest value that at least this share of the row does not exceed."""
    count = x.shape[1]
    # A count that rounding errors lift over a whole number would reach for the next value.
    rank = math.ceil(share * count - 1e-9 * count)
    return x.kthvalue(min(max(rank, 1), count), dim=1).values
