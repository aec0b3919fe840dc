"""Learned clipping intervals (AQD, arXiv 2007.06919)."""

from torch import Tensor

from ..functional.rounding import scale_gradient
from ..spec import AQDSpec
from .affine import LearnedRangeQuantizer, LearnedStepQuantizer
from .registry import register


@register(AQDSpec)
class AQD(LearnedRangeQuantizer, LearnedStepQuantizer):
    """The clipping interval is learned: [0, v] without sign, [-v, v] with sign (section 3.1, equations 1 and 2).

    The paper's weights have no level at zero: grid "interval". On the integer grid a signed interval reaches from
    ``-v`` to v with ``narrow_range``, and one step further down without.

    The step is ``v / n``. Its gradient is scaled as in LSQ (arXiv 1902.08153, section 2.2), and v's by ``n^2`` on
    top: under SGD v then moves as n times LSQ's step would, while a change of bits leaves v and its momentum alone.

    Attributes:
        interval: v, in the shape of :meth:`group_shape`; with a zero-point the width of the interval.
    """

    range_name = "interval"

    interval: Tensor

    def range_end(self) -> Tensor:
        return scale_gradient(super().range_end(), self.levels.span**2)
