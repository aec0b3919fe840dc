"""Learned step size quantization (LSQ, arXiv 1902.08153)."""

from ..spec import LSQSpec
from .affine import LearnedStepQuantizer
from .registry import register


@register(LSQSpec)
class LSQ(LearnedStepQuantizer):
    """The step s is learned: ``round(clip(x / s, -Qn, Qp)) * s`` (equations 1 and 2).

    Gradients are those of equation 3 and section 2.2, times ``1 / sqrt(N Qp)``. An asymmetric spec gives it a
    zero-point that is found with the initial range and then kept; method lsq_plus learns it too.
    """
