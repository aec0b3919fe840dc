"""The range of least squared error."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..functional.fake_quantize import fake_quantize
from ..grids.levels import Levels
from ..spec import QuantSpec
from .max import max_range
from .registry import Range, register_estimator

# Rows much longer than this are thinned out evenly: the error of tens of thousands of values ranks ranges well enough.
_MOST_VALUES = 1 << 16
_COARSE = 25
_FINE = 16


@register_estimator("mse")
def mse_range(x: Tensor, levels: Levels, spec: QuantSpec) -> Range:
    """The clipped part of the full range whose levels are closest to ``x`` in the sum of squares.

    A search over 25 shares of the full range, then over 16 more around the best. Asymmetric levels: both ends
    together first, then the top alone, then the bottom alone.

    Args:
        x: finite, ``Tensor[G, N]``.
        levels: the actual levels, on which the error is measured.
        spec: not used.
    """
    # An odd stride meets every column of an image.
    x = x[:, :: (-(-x.shape[1] // _MOST_VALUES)) | 1]
    bottom, top = max_range(x, levels, spec)
    if levels.symmetric:
        top = top * _best_share(lambda share: _error(x, bottom, top * share, levels), top)
        return -top, top
    bottom, top = bottom.clamp_max(0.0), top.clamp_min(0.0)
    both = _best_share(lambda share: _error(x, bottom * share, top * share, levels), top)
    bottom, top = bottom * both, top * both
    top = top * _best_share(lambda share: _error(x, bottom, top * share, levels), top)
    bottom = bottom * _best_share(lambda share: _error(x, bottom * share, top, levels), top)
    return bottom, top


def _best_share(error_of: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """For each group the share in (0, 1] of least error, ``Tensor[G]``; the larger one if two are as good."""
    best, least = torch.ones_like(like), error_of(torch.ones_like(like))

    def consider(share: Tensor) -> None:
        nonlocal best, least
        error = error_of(share)
        better = error < least
        best, least = torch.where(better, share, best), torch.where(better, error, least)

    for i in range(_COARSE - 1, 0, -1):
        consider(torch.full_like(like, i / _COARSE))
    centre = best
    for i in range(-_FINE // 2, _FINE // 2 + 1):
        if i:
            consider((centre + 2 * i / (_FINE * _COARSE)).clamp(1e-3, 1.0))
    return best


def _error(x: Tensor, bottom: Tensor, top: Tensor, levels: Levels) -> Tensor:
    """Mean squared error of each row relative to its largest value, ``Tensor[G]``."""
    step, zero = levels.place(bottom, top)
    quantized = fake_quantize(x, step, zero, levels.low, levels.high, axis=0, half=levels.half)
    unit = x.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return ((quantized - x) / unit).square().mean(1)
