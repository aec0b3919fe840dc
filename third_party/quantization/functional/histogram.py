"""Counting values in bins of equal width on either side of zero."""

import torch
from torch import Tensor

from . import native

_NAME = "third_party_quantization::histogram"


def histogram(x: Tensor, width: float, half: int) -> Tensor:
    """How many values lie in each of the bins ``[i * width, (i + 1) * width)`` for i from ``-half`` to ``half - 1``.

    Values beyond the outermost bins count in those; NaN counts nowhere for certain and has to be refused before. The
    operator is ``torch.ops.third_party_quantization.histogram``, with a native kernel on the CPU.

    Args:
        x: any shape, floating point.
        width: of a bin; a power of two, so that quotients are exact.
        half: bins on either side of zero.

    Returns:
        int64 ``Tensor[2 * half + 1]``: the bins in order, and last how many values are exactly zero, which count in
        their bin as well.

    Raises:
        ValueError: a width that is not positive, or no bins.
    """
    if not width > 0 or half < 1:
        raise ValueError(f"a histogram needs bins of a positive width, got {half} on either side, {width} wide")
    native.prepare(x.device.type)
    return torch.ops.third_party_quantization.histogram(x, width, half)


def _eager(x: Tensor, width: float, half: int) -> Tensor:
    values = x.detach().float().flatten()
    bins = (values / width).floor_().clamp_(-half, half - 1).long().add_(half)
    counts = torch.bincount(bins, minlength=2 * half)
    return torch.cat([counts, (values == 0).sum().view(1)])


def _fake(x: Tensor, width: float, half: int) -> Tensor:
    return x.new_empty((2 * half + 1,), dtype=torch.int64)


torch.library.define(_NAME, "(Tensor x, float width, int half) -> Tensor")
torch.library.impl(_NAME, "default", _eager)
torch.library.register_fake(_NAME, _fake)
