"""The range of least squared error."""

from ...grids.levels import Levels
from ..statistics import TensorStatistics
from .least_error import least_error
from .registry import ObserverContext, Range, register_observer


@register_observer("mse")
def mse(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """The range with the least mean squared error of the quantized values (OMSE, arXiv 1902.06822, section 3.1)."""
    return least_error(statistics, levels, 2.0)
