"""The range that clips nothing."""

from torch import Tensor

from ..grids.levels import Levels
from ..spec import QuantSpec
from .registry import Range, register_estimator


@register_estimator("max")
def max_range(x: Tensor, levels: Levels, spec: QuantSpec) -> Range:
    """Largest magnitude of each row of ``Tensor[G, N]``; least and largest value for asymmetric levels."""
    if levels.symmetric:
        top = x.abs().amax(1)
        return -top, top
    return x.amin(1), x.amax(1)
