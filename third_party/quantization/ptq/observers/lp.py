"""The range of least error in an L-p norm."""

from ...grids.levels import Levels
from ..statistics import TensorStatistics
from .least_error import least_error
from .registry import ObserverContext, Range, register_observer


@register_observer("lp")
def lp(statistics: TensorStatistics, levels: Levels, context: ObserverContext) -> Range:
    """The range with the least ``mean |q(x) - x| ** p`` (LAPQ, arXiv 1911.07190, section 4.1, equation 9).

    A small p clips what is rare, a large one does not; ``context.power`` is p, and
    :func:`~third_party.quantization.ptq.power_search.search_power` finds it by the model's loss, as the paper does.
    """
    return least_error(statistics, levels, context.power)
