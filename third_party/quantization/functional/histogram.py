"""Counting values in bins of equal width on either side of zero."""

import torch
from torch import Tensor

from . import native

_NAME = "third_party_quantization::histogram"


def histogram(x: Tensor, width: float, half: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """How many values lie in each of the bins ``[i * width, (i + 1) * width)`` for i from ``-half`` to ``half - 1``.

    Values beyond the outermost bins count in those. The operator is ``torch.ops.third_party_quantization.histogram``,
    with a native kernel on the CPU that goes over the values once.

    Args:
        x: any shape but a scalar's, not empty, floating point.
        width: of a bin; a power of two, so that quotients are exact.
        half: bins on either side of zero.
        axis: dimension of the channels.

    Returns:
        ``(counts, low, high)``: int64 ``Tensor[2 * half + 1]``, the bins in order, and last how many values are
        exactly zero, which count in their bin as well; and float32 ``Tensor[C]``, the least and the greatest value of
        each channel. If a channel has NaN or infinite values, its extremes are not finite, and the counts mean
        nothing.

    Raises:
        ValueError: a width that is not positive, no bins, or a tensor without values.
    """
    if not width > 0 or half < 1:
        raise ValueError(f"a histogram needs bins of a positive width, got {half} on either side, {width} wide")
    if x.dim() == 0 or x.numel() == 0:
        raise ValueError(f"a histogram needs values along an axis, got a tensor of shape {tuple(x.shape)}")
    axis = axis % x.dim()
    if x.dim() == 4 and axis == 1 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        x, axis = x.permute(0, 2, 3, 1), 3  # the same memory, in its own order
    native.prepare(x.device.type)
    return torch.ops.third_party_quantization.histogram(x, width, half, axis)


def _eager(x: Tensor, width: float, half: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    values = x.detach().float()
    others = [dim for dim in range(x.dim()) if dim != axis]
    low, high = (values.amin(others), values.amax(others)) if others else (values.clone(), values.clone())
    bins = (values / width).nan_to_num(0.0).floor_().clamp_(-half, half - 1).long().add_(half)
    counts = torch.bincount(bins.flatten(), minlength=2 * half)
    return torch.cat([counts, (values == 0).sum().view(1)]), low, high


def _fake(x: Tensor, width: float, half: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    extremes = x.new_empty((x.shape[axis],), dtype=torch.float32)
    return x.new_empty((2 * half + 1,), dtype=torch.int64), extremes, torch.empty_like(extremes)


torch.library.define(_NAME, "(Tensor x, float width, int half, int axis) -> (Tensor, Tensor, Tensor)")
torch.library.impl(_NAME, "default", _eager)
torch.library.register_fake(_NAME, _fake)
