"""Fake quantization and its gradients in plain PyTorch: the twin of the native kernels, and what they must equal."""

import torch
from torch import Tensor

from ..grids.grid import broadcast


def memory_format(x: Tensor) -> torch.memory_format:
    """The order of dimensions that results have: channels last where ``x`` is so, contiguous otherwise."""
    if x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def forward(
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
    """The quantized values; arguments as in :func:`~.fake_quantize.fake_quantize`."""
    s, z = broadcast(step.float(), x, axis), broadcast(zero_point.float().round(), x, axis)
    h = 0.5 if half else 0.0
    k = (x.float() / s + (z - h)).clamp(low, high).round()
    return ((k - z + h) * s).to(x.dtype).contiguous(memory_format=memory_format(x))


def backward(
    grad: Tensor,
    x: Tensor,
    step: Tensor,
    zero_point: Tensor,
    low: int,
    high: int,
    axis: int | None,
    half: bool,
    gradient_factor: float,
    clip_gradient_only: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``x``, ``step`` and ``zero_point`` for a gradient of the result."""
    s, z = broadcast(step.float(), x, axis), broadcast(zero_point.float().round(), x, axis)
    h = 0.5 if half else 0.0
    ratio = x.float() / s
    u = ratio + (z - h)
    inside = (u >= low) & (u <= high)
    level = u.clamp(low, high).round() - z + h
    grad32 = grad.float()
    of_step = torch.where(inside, torch.zeros_like(ratio) if clip_gradient_only else level - ratio, level) * grad32
    clipped = torch.where(inside, 0.0, grad32)
    grad_x = torch.where(inside, grad, 0.0).to(x.dtype).contiguous(memory_format=memory_format(x))
    grad_step = _sum_groups(of_step, step, axis) * gradient_factor
    grad_zero = -step.float() * _sum_groups(clipped, step, axis) * gradient_factor
    return grad_x, grad_step.to(step.dtype), grad_zero.to(zero_point.dtype)


def _sum_groups(values: Tensor, like: Tensor, axis: int | None) -> Tensor:
    """Sum over all that shares one entry of ``like``, in its shape."""
    if axis is None or like.dim() == 0:
        return values.sum().view(like.shape)
    return values.movedim(axis, 0).reshape(like.shape[0], -1).sum(1)
