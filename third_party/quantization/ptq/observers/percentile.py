"""The range that clips a given share of the values."""

from ...grids.levels import Levels
from ..distribution import Distribution
from ..statistics import TensorStatistics
from .registry import ObserverContext, Range, register_observer


@register_observer("percentile")
def percentile(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """The share ``context.percentile`` of the values lies inside (arXiv 2004.09602, section 3.3).

    Symmetric levels: of the magnitudes. Otherwise half of the remaining share lies beyond either end.
    """
    values = Distribution.of(statistics)
    if levels.symmetric:
        top = values.magnitudes().quantile(context.percentile)
        return -top, top
    share = (1.0 + context.percentile) / 2.0
    return values.quantile(1.0 - share), values.quantile(share)
