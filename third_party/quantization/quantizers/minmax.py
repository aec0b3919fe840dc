"""A range found on data and kept."""

from ..spec import MinMaxSpec
from .affine import AffineQuantizer
from .registry import register


@register(MinMaxSpec)
class MinMax(AffineQuantizer):
    """Nothing is learned: the range stays as the first data, a calibration or a checkpoint set it.

    Gradients pass to values inside the range (straight-through).
    """

    learned = False
