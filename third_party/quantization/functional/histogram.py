"""Counting values in bins of equal width on either side of zero."""

import torch
from torch import Tensor

from . import native

_NAME = "third_party_quantization::add_to_histogram"


def add_to_histogram(counts: Tensor, x: Tensor, width: float, axis: int) -> tuple[Tensor, Tensor]:
    """Count how many values lie in each of the bins ``[i * width, (i + 1) * width)`` for i from ``-H`` to ``H - 1``.

    The operator is ``torch.ops.third_party_quantization.add_to_histogram``, with a native kernel on the CPU that goes
    over the values once.

    Args:
        counts: float64 ``Tensor[2 * H + 1]``, contiguous, on the device of ``x``, added to in place: the bins in
            order, and last how many values are exactly zero, which count in their bin as well. Unchanged if a value
            is not finite or has no bin.
        x: any shape but a scalar's, not empty, floating point.
        width: of a bin; a power of two, so that quotients are exact.
        axis: dimension of the channels.

    Returns:
        the least and the greatest value of each channel, float32 ``Tensor[C]``; not finite where a value is not.

    Raises:
        ValueError: counts of another shape or type, a width that is not positive, or a tensor without values.
    """
    if not width > 0:
        raise ValueError(f"a histogram needs bins of a positive width, got {width}")
    if counts.dim() != 1 or len(counts) < 3 or len(counts) % 2 == 0 or counts.dtype is not torch.float64:
        shape = tuple(counts.shape)
        raise ValueError(f"a histogram needs float64 counts of an odd number, at least 3; got {counts.dtype} {shape}")
    if x.dim() == 0 or x.numel() == 0:
        raise ValueError(f"a histogram needs values along an axis, got a tensor of shape {tuple(x.shape)}")
    axis = axis % x.dim()
    if x.dim() == 4 and axis == 1 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        x, axis = x.permute(0, 2, 3, 1), 3  # the same memory, in its own order
    native.prepare(x.device.type)
    return torch.ops.third_party_quantization.add_to_histogram(counts, x, width, axis)


def _eager(counts: Tensor, x: Tensor, width: float, axis: int) -> tuple[Tensor, Tensor]:
    values, half = x.detach().float(), counts.numel() // 2
    others = [dim for dim in range(x.dim()) if dim != axis]
    low, high = (values.amin(others), values.amax(others)) if others else (values.clone(), values.clone())
    if bool((low >= -half * width).all() and (high < half * width).all()):
        bins = (values / width).floor_().long().add_(half).flatten()
        counts[:-1] += torch.bincount(bins, minlength=2 * half)
        counts[-1] += (values == 0).sum()
    return low, high


def _fake(counts: Tensor, x: Tensor, width: float, axis: int) -> tuple[Tensor, Tensor]:
    extremes = x.new_empty((x.shape[axis],), dtype=torch.float32)
    return extremes, torch.empty_like(extremes)


torch.library.define(_NAME, "(Tensor(a!) counts, Tensor x, float width, int axis) -> (Tensor, Tensor)")
torch.library.impl(_NAME, "default", _eager)
torch.library.register_fake(_NAME, _fake)
