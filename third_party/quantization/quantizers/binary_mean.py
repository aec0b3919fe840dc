"""Binary weights around their mean (the weights of Bi-Real Net and its followers)."""

from torch import Tensor

from ..functional.groups import group_mean
from ..grids.grid import broadcast
from ..spec import BinaryMeanSpec
from .registry import register
from .xnor import MeasuredWeightScale


@register(BinaryMeanSpec)
class BinaryMean(MeasuredWeightScale):
    """``a sign(u)`` with ``u = w - mean(w)`` and ``a = mean|u|`` over each group; sign(0) is +1.

    Gradient: with ``h_i = a g_i [|u_i| <= 1]`` (a held constant, Bi-Real Net, arXiv 1808.00278, section 3.3, the
    magnitude-aware gradient) that of ``w_i`` is ``h_i - mean(h)``, the mean being subtracted as in the forward.
    """

    def transform(self, x: Tensor) -> Tensor:
        """The tensor less the mean of each group."""
        return x - broadcast(group_mean(x, self.num_groups, self.axis), x, self.axis)
