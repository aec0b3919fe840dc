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
# Values that are quantized at once, where several ranges are tried.
_MOST_AT_ONCE = 1 << 18
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
    # Rows of largest value 1, whose squares are finite.
    unit = torch.maximum(-bottom, top).clamp_min(torch.finfo(torch.float32).tiny)
    bottom, top = _best_part(x / unit.unsqueeze(1), bottom / unit, top / unit, levels)
    return bottom * unit, top * unit


def _best_part(x: Tensor, bottom: Tensor, top: Tensor, levels: Levels) -> Range:
    """The part of the full range, ``bottom`` to ``top``, that has the least error."""
    if levels.symmetric:
        top = top * _best_share(lambda share: _error(x, bottom, top * share, levels), top)
        return -top, top
    bottom, top = bottom.clamp_max(0.0), top.clamp_min(0.0)
    both = _best_share(lambda share: _error(x, bottom * share, top * share, levels), top)
    bottom, top = bottom * both, top * both
    top = top * _best_share(lambda share: _error(x, bottom, top * share, levels), top)
    bottom = bottom * _best_share(lambda share: _error(x, bottom * share, top, levels), top)
    return bottom, top


def _best_share(errors_of: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """For each group the share in (0, 1] of least error, ``Tensor[G]``; the largest if several are as good.

    Args:
        errors_of: from shares, ``Tensor[C, G]``, to their errors.
        like: ``Tensor[G]``.
    """
    coarse = torch.arange(1, _COARSE + 1).to(like) / _COARSE
    best = _least(errors_of, coarse.unsqueeze(1).expand(-1, len(like)))
    fine = torch.arange(-_FINE // 2, _FINE // 2 + 1).to(like) * 2 / (_FINE * _COARSE)
    return _least(errors_of, (best + fine.unsqueeze(1)).clamp(1e-3, 1.0))


def _least(errors_of: Callable[[Tensor], Tensor], shares: Tensor) -> Tensor:
    errors = errors_of(shares)
    return torch.where(errors == errors.amin(0), shares, 0.0).amax(0)


def _error(x: Tensor, bottom: Tensor, top: Tensor, levels: Levels) -> Tensor:
    """Root of the summed squared errors of each row in each of C ranges, ``Tensor[C, G]``.

    Args:
        x: ``Tensor[G, N]``.
        bottom, top: ends, ``Tensor[C, G]`` or one row for all, ``Tensor[G]``.
        levels: between them.
    """
    step, zero = levels.place(*torch.broadcast_tensors(bottom, top))
    parts = max(1, step.numel() * x.shape[1] // _MOST_AT_ONCE)
    errors = []
    for steps, zeros in zip(step.chunk(parts), zero.chunk(parts), strict=True):
        copies = x.expand(len(steps), *x.shape).flatten(0, 1)
        given = fake_quantize(
            copies, steps.flatten(), zeros.flatten(), levels.low, levels.high, axis=0, half=levels.half
        )
        errors.append(torch.linalg.vector_norm(given - copies, dim=1).view_as(steps))
    return torch.cat(errors)
