"""Integers only: int8 operands, int32 sums, int64 products of multipliers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Arithmetic, Window
from .matmul import product
from .patches import padded, spread, windows

# By how much codes 0 to 255 are moved to be int8.
_MIDDLE = 128


class IntegerArithmetic(Arithmetic):
    """Vectorised integer arithmetic; images lie with their channels last."""

    name = "integer"

    def take(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        return codes.to(dtype)

    def convolve(self, codes: Tensor, zero_point: Tensor, weight: Tensor, window: Window) -> Tensor:
        x, zero = _operand(codes, zero_point, weight)
        if window.transposed:
            x, weight, window = _as_plain(x, zero, weight, window)
        kernel = (weight.shape[2], weight.shape[3])
        view = windows(padded(x, zero, window), kernel, window)
        if weight.shape[1] == 1 and window.groups > 1:
            out = _depthwise(view, weight, zero)
        else:
            out = _by_groups(view, weight, zero, window.groups)
        return out.permute(0, 3, 1, 2)

    def multiply(self, codes: Tensor, zero_point: Tensor, weight: Tensor) -> Tensor:
        x, zero = _operand(codes, zero_point, weight)
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        return _dense(rows, weight, zero).view(*x.shape[:-1], weight.shape[0])

    def combine(self, terms: Sequence[Tensor], c: Sequence[Tensor], d: Tensor, b: Tensor) -> Tensor:
        total = b
        for term, multiplier in zip(terms, c, strict=True):
            total = torch.addcmul(total, term.long(), multiplier)
        return _shift_right(total, d)

    def clamp(self, numbers: Tensor, low: int, high: int) -> Tensor:
        return numbers.clamp(low, high)

    def look_up(self, codes: Tensor, table: Tensor, first: int, stride: int) -> Tensor:
        last = codes.dim() == 4 and codes.is_contiguous(memory_format=torch.channels_last)
        x = codes.permute(0, 2, 3, 1) if last else codes
        places = (x.int() - first) >> (stride - 1)
        found = table.index_select(0, places.reshape(-1)).view(places.shape)
        return found.permute(0, 3, 1, 2) if last else found

    def interpolate(self, codes: Tensor, table: Tensor, first: int, shift: int) -> Tensor:
        distance = codes.long() - first
        place, rest = distance >> shift, distance & (2**shift - 1)
        entries = table.to(codes.device).long()
        left, right = entries[place], entries[place + 1]
        return (left + (((right - left) * rest + 2**shift // 2) >> shift)).int()


def _shift_right(values: Tensor, d: Tensor) -> Tensor:
    """``values / 2 ** d`` rounded half to even, in few passes and in place; d from 0 to 62, values below 2 ** 53.

    What is added carries into the quotient from above one half on, and at one half where that makes it even.
    """
    odd = (values >> d).bitwise_and_((d > 0).long())
    below_half = ((torch.ones_like(d) << d) >> 1) - (d > 0).long()
    return values.add_(odd).add_(below_half).bitwise_right_shift_(d)


def _operand(codes: Tensor, zero_point: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and zero-point as int8 where the product of int8 matrices takes both operands, else as int32."""
    if weight.dtype is not torch.int8 or codes.dtype not in (torch.int8, torch.uint8):
        return codes.int(), zero_point.int()
    offset = _MIDDLE if codes.dtype is torch.uint8 else 0
    low, high = int(zero_point.min()) - offset, int(zero_point.max()) - offset
    if low < -128 or high > 127:  # such zeros cannot be padding
        return codes.int(), zero_point.int()
    moved = (codes ^ _MIDDLE).view(torch.int8) if offset else codes
    return moved, (zero_point - offset).to(torch.int8)


def _dense(rows: Tensor, weight: Tensor, zero: Tensor) -> Tensor:
    """Rows minus zero-point, ``Tensor[M, K]`` and ``Tensor[]`` or ``Tensor[K]``, times ``Tensor[O, K]``; int32."""
    correction = (weight.int() * zero.int()).sum(1, dtype=torch.int32)
    return product(rows, weight) - correction


def _by_groups(view: Tensor, weight: Tensor, zero: Tensor, groups: int) -> Tensor:
    """Sums ``Tensor[N, H', W', O]`` for windows ``Tensor[N, H', W', kh, kw, C]``."""
    n, rows, columns, kh, kw, channels = view.shape
    width, outputs = channels // groups, weight.shape[0] // groups
    kernels = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
    zeros = zero.expand(channels)
    parts = []
    for group in range(groups):
        part = slice(group * width, (group + 1) * width)
        patches = view[..., part].reshape(n * rows * columns, kh * kw * width)
        own = kernels[group * outputs : (group + 1) * outputs].contiguous()
        parts.append(_dense(patches, own, zeros[part].repeat(kh * kw)))
    out = parts[0] if groups == 1 else torch.cat(parts, 1)
    return out.view(n, rows, columns, weight.shape[0])


def _depthwise(view: Tensor, weight: Tensor, zero: Tensor) -> Tensor:
    """As :func:`_by_groups` for groups of one channel: a few products of whole images."""
    *size, kh, kw, channels = view.shape
    copies = weight.shape[0] // channels
    zeros = zero.int().expand(channels)
    total = torch.zeros(*size, weight.shape[0], dtype=torch.int32, device=view.device)
    for row in range(kh):
        for column in range(kw):
            x = view[..., row, column, :].int() - zeros
            total += x.repeat_interleave(copies, -1) * weight[:, 0, row, column].int()
    return total


def _as_plain(x: Tensor, zero: Tensor, weight: Tensor, window: Window) -> tuple[Tensor, Tensor, Window]:
    """Operands and window of the plain convolution that a transposed one is, by the kernel turned around."""
    groups, dilation = window.groups, window.dilation
    by_group = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    reach = [(weight.shape[2 + axis] - 1) * dilation[axis] for axis in (0, 1)]
    top, bottom, left, right = window.padding
    borders = (
        reach[0] - top,
        reach[0] - bottom + window.output_padding[0],
        reach[1] - left,
        reach[1] - right + window.output_padding[1],
    )
    x = spread(x, zero, window.stride)
    if min(borders) < 0:  # more is cut off than a kernel adds
        cut = [max(-border, 0) for border in borders]
        x = x[:, :, cut[0] : x.shape[2] - cut[1], cut[2] : x.shape[3] - cut[3]]
        borders = (max(borders[0], 0), max(borders[1], 0), max(borders[2], 0), max(borders[3], 0))
    return x, by_group.flip(2, 3).contiguous(), Window(padding=borders, dilation=dilation, groups=groups)
