"""The range that a batch has on average."""

from ...grids.levels import Levels
from ..statistics import TensorStatistics
from .registry import ObserverContext, Range, register_observer


@register_observer("moving_average")
def moving_average(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """Moving averages of the batches' least and greatest values (arXiv 1712.05877, section 3.1)."""
    return statistics.mean_minimum, statistics.mean_maximum
