"""Parameterized clipping activation (PACT, arXiv 1805.06085)."""

from torch import Tensor

from ..grids.levels import Levels
from ..spec import PACTSpec
from .affine import LearnedRangeQuantizer
from .registry import register


@register(PACTSpec)
class PACT(LearnedRangeQuantizer):
    """The clipping value is learned, from clipped values alone (section 3, equations 1 to 3).

    The gradient of ``clip`` is 1 where x is at or above it and 0 below. With sign the range is [-clip, clip]: the
    gradient is -1 at the lower end, and the integer grid is narrow whatever ``narrow_range`` says. The paper
    regularises ``clip`` with the weight decay of the weights; nothing else makes it smaller.

    Attributes:
        clip: the clipping value, in the shape of :meth:`group_shape`; with a zero-point the width of the range.
    """

    range_name = "clip"
    clip_gradient_only = True
    decayed_parameters = frozenset({"clip"})

    clip: Tensor

    def levels_for(self, bits: int, signed: bool) -> Levels:
        interval = self.spec.grid == "interval"
        return Levels.of(bits, signed, symmetric=self.spec.symmetric, interval=interval, narrow=True)
