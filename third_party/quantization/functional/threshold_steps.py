"""A staircase with thresholds anywhere, differentiable in the input, the step and the thresholds."""

from typing import Any

import torch
from torch import Tensor

from ..grids.grid import broadcast
from .groups import group_sum


def threshold_counts(x: Tensor, step: Tensor, thresholds: Tensor, axis: int | None) -> Tensor:
    """How many thresholds each value exceeds: with ``u = x / step``, the number of i with ``u > thresholds[..., i]``.

    Args:
        x: any shape, float32.
        step: positive, ``Tensor[]`` or ``Tensor[G]`` for G groups of channels along ``axis``.
        thresholds: in steps, ``Tensor[T]`` or ``Tensor[G, T]``; in any order.

    Returns:
        float32 whole numbers from 0 to T; NaN for NaN.
    """
    u = x / broadcast(step, x, axis)
    counts = torch.zeros_like(u)
    for threshold in thresholds.unbind(-1):
        counts += u > broadcast(threshold, u, axis)
    return counts.masked_fill_(u != u, float("nan"))


def threshold_steps(
    x: Tensor, step: Tensor, thresholds: Tensor, lowest: float, axis: int | None, gradient_factor: float = 1.0
) -> Tensor:
    """``(lowest + n) step``, where n counts the thresholds below ``u = x / step``.

    In the gradients each jump, at ``t_i``, is taken as a ramp of slope 1 and width 1 around it. With
    ``r_i = [|u - t_i| <= 1/2]``, g the gradient of the result, and sums over what shares a parameter:

    * of x: ``g sum_i r_i``;
    * of t_i: ``-step sum g r_i``;
    * of step: ``sum g (lowest + n - u sum_i r_i)``.

    With thresholds midway between levels the ramps meet, and these are the gradients of LSQ (arXiv 1902.08153,
    equation 3).

    Args:
        x, step, thresholds, axis: as for :func:`threshold_counts`.
        lowest: the lowest level, in steps.
        gradient_factor: multiplies the gradients of step and thresholds.
    """
    return _ThresholdSteps.apply(x, step, thresholds, lowest, axis, gradient_factor)


class _ThresholdSteps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, thresholds: Tensor, lowest: float, axis: int | None, gradient_factor: float
    ) -> Tensor:
        level = threshold_counts(x, step, thresholds, axis) + lowest
        ctx.save_for_backward(x, step, thresholds, level)
        ctx.settings = (axis, gradient_factor)
        return level * broadcast(step, x, axis)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, step, thresholds, level = ctx.saved_tensors
        axis, factor = ctx.settings
        groups = step.numel()
        u = x / broadcast(step, x, axis)
        slope = torch.zeros_like(u)
        of_thresholds = []
        for threshold in thresholds.unbind(-1):
            near = (u - broadcast(threshold, u, axis)).abs() <= 0.5
            slope += near
            of_thresholds.append(-step * group_sum(grad * near, groups, axis))
        of_step = group_sum(grad * (level - u * slope), groups, axis)
        return grad * slope, of_step * factor, torch.stack(of_thresholds, dim=-1) * factor, None, None, None
