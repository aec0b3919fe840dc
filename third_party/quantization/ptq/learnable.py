"""Which ranges can be learned."""

from typing import TypeGuard

from ..quantizers.affine import AffineQuantizer, LearnedRangeQuantizer
from ..quantizers.quantizer import Quantizer


def has_learnable_range(quantizer: Quantizer) -> TypeGuard[AffineQuantizer]:
    """Whether a quantizer has a range that is there and free, and keeps it as ``scale``."""
    by_step = isinstance(quantizer, AffineQuantizer) and not isinstance(quantizer, LearnedRangeQuantizer)
    return by_step and quantizer.initialized and not quantizer.fixed_range
