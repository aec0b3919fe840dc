"""The range that clips nothing."""

from ...grids.levels import Levels
from ..statistics import TensorStatistics
from .registry import ObserverContext, Range, register_observer


@register_observer("minmax")
def minmax(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """Least and greatest value of the calibration set (arXiv 1712.05877, section 3)."""
    return statistics.minimum, statistics.maximum
