"""Quantize and dequantize in one step, with gradients for the input, the step and the zero-point."""

from typing import Any

import torch
from torch import Tensor


def fake_quantize(
    x: Tensor,
    step: Tensor,
    zero_point: Tensor,
    low: int,
    high: int,
    *,
    axis: int | None = None,
    half: bool = False,
    gradient_factor: float = 1.0,
    clip_gradient_only: bool = False,
) -> Tensor:
    """Replace every value by its nearest level ``(k - zero_point + h) * step``, k a whole number in [low, high].

    ``h`` is 1/2 on a grid without zero (``half``) and 0 otherwise. With ``u = x / step + z - h`` and k the clipped
    rounding of u, gradients are (LSQ, arXiv 1902.08153, equation 3, with the zero-point of LSQ+, arXiv 2004.09576):

    * of ``x``: 1 where low <= u <= high, else 0;
    * of ``step``: ``(k - z + h) - x / step`` inside (0 with ``clip_gradient_only``, as PACT has it), ``k - z + h``
      outside;
    * of ``zero_point``: 0 inside, ``-step`` outside.

    Args:
        x: any shape, float32, float16 or bfloat16; the result has its type. Computed in float32.
        step: positive, ``Tensor[]`` or ``Tensor[G]``: G groups of channels along ``axis``, G dividing their number.
        zero_point: in the shape of ``step``; rounded half to even before use, so that zero is a level.
        low, high: numbers of the lowest and highest level.
        axis: the dimension of the groups.
        half: levels lie half a step beside the whole ones; the zero-point must then be 0.
        gradient_factor: multiplies the gradients of step and zero-point.
        clip_gradient_only: only clipped values move the step.

    Returns:
        the quantized values, in the shape of ``x``.
    """
    return _FakeQuantize.apply(x, step, zero_point, low, high, axis, half, gradient_factor, clip_gradient_only)


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        step: Tensor,
        zero_point: Tensor,
        low: int,
        high: int,
        axis: int | None,
        half: bool,
        gradient_factor: float,
        clip_gradient_only: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, step, zero_point)
        ctx.settings = (low, high, axis, half, gradient_factor, clip_gradient_only)
        s, z = _along(step, x, axis), _along(zero_point.round(), x, axis)
        h = 0.5 if half else 0.0
        k = (x.float() / s + (z - h)).clamp(low, high).round()
        return ((k - z + h) * s).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        x, step, zero_point = ctx.saved_tensors
        low, high, axis, half, factor, clip_only = ctx.settings
        s, z = _along(step, x, axis), _along(zero_point.round(), x, axis)
        h = 0.5 if half else 0.0
        ratio = x.float() / s
        u = ratio + (z - h)
        inside = (u >= low) & (u <= high)
        level = u.clamp(low, high).round() - z + h
        grad32 = grad.float()
        of_step = torch.where(inside, torch.zeros_like(ratio) if clip_only else level - ratio, level) * grad32
        of_zero = torch.where(inside, 0.0, -s * grad32)
        grad_step = _sum_groups(of_step, step, axis) * factor
        grad_zero = _sum_groups(of_zero, zero_point, axis) * factor
        return (grad * inside, grad_step, grad_zero, *[None] * 6)


def _along(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """``Tensor[G]`` spread over the channels of ``x`` along ``axis``."""
    if axis is None or values.dim() == 0:
        return values.float()
    shape = [1] * x.dim()
    shape[axis] = x.shape[axis]
    return values.float().repeat_interleave(x.shape[axis] // values.shape[0]).view(shape)


def _sum_groups(values: Tensor, like: Tensor, axis: int | None) -> Tensor:
    """Sum over all that shares one entry of ``like``."""
    if axis is None or like.dim() == 0:
        return values.sum().to(like.dtype).view(like.shape)
    return values.movedim(axis, 0).reshape(like.shape[0], -1).sum(1).to(like.dtype)
