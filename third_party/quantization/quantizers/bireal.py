"""Bi-Real Net (arXiv 1808.00278): signs of activations with a closer gradient."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from ..functional.surrogates import sign_triangle
from ..spec import BiRealSpec
from .registry import register
from .xnor import MeasuredScale


@register(BiRealSpec)
class BiReal(MeasuredScale):
    """``sign(x)``, levels -1 and 1 (0 and 1 without negative values); sign(0) is +1.

    Gradient (section 3.3): ``2 + 2x`` on [-1, 0), ``2 - 2x`` on [0, 1), 0 elsewhere. A scale is left to the weights
    and the batch norm that follows, as in the paper.
    """

    sign: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(sign_triangle)

    def initialize(self, x: Tensor) -> None:
        """Nothing: the levels are fixed. The first data say only whether there are negative values."""
