"""Steps whose gradient, zero almost everywhere, is replaced by one that can train."""

from typing import Any

import torch
from torch import Tensor


def sign_clipped(x: Tensor) -> Tensor:
    """+1 for 0 and above, -1 below; the gradient passes where ``|x| <= 1`` (XNOR-Net, arXiv 1603.05279, section 3.1).

    NaN stays NaN, so that a training that has diverged shows it.
    """
    return _SignClipped.apply(x)


def sign_triangle(x: Tensor) -> Tensor:
    """+1 for 0 and above, -1 below, with the derivative of a second-order fit to the step.

    Bi-Real Net (arXiv 1808.00278, section 3.3): ``2 + 2x`` on [-1, 0), ``2 - 2x`` on [0, 1), 0 elsewhere. NaN stays.
    """
    return _SignTriangle.apply(x)


def straight_through(x: Tensor, quantized: Tensor, inside: Tensor | None = None) -> Tensor:
    """``quantized``, with the gradient going to ``x`` as it is, or only where ``inside`` (bool) holds."""
    return _StraightThrough.apply(x, quantized, inside)


def signs(x: Tensor) -> Tensor:
    """+1 for 0 and above, -1 below, NaN for NaN; no gradient."""
    ones = torch.ones_like(x)
    return torch.where(x < 0, -ones, ones).masked_fill_(x != x, float("nan"))


class _SignClipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x.abs() <= 1)
        return signs(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (inside,) = ctx.saved_tensors
        return grad * inside


class _SignTriangle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return signs(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (2 - 2 * x.abs()).clamp_min(0)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, quantized: Tensor, inside: Tensor | None) -> Tensor:
        ctx.save_for_backward(inside)
        return quantized.view_as(quantized)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return (grad if inside is None else grad * inside), None, None
