"""Rounding and scaling whose gradients are chosen."""

from typing import Any

import torch
from torch import Tensor


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes unchanged (straight-through, arXiv 1308.3432)."""
    return x + (x.round() - x).detach()


def with_gradient_of(value: Tensor, source: Tensor) -> Tensor:
    """``value`` to the last bit, with the gradient of ``source`` in place of its own; both finite, in one shape."""
    return value.detach() + (source - source.detach())


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """``x`` itself, its gradient multiplied by ``factor`` (LSQ, arXiv 1902.08153, appendix A)."""
    return with_gradient_of(x, x * factor)


def positive(x: Tensor, smallest: float = 1e-8) -> Tensor:
    """``x`` kept at ``smallest`` or above; the gradient passes, so that a scale driven to zero can come back."""
    return with_gradient_of(x.clamp_min(smallest), x)


def lsq_gradient_factor(num_values: int, highest: int) -> float:
    """``1 / sqrt(N Qp)`` (LSQ, section 2.2): N values share one step, Qp is the highest level's number.

    Args:
        num_values: values quantized with one step.
        highest: number of steps from zero to the highest level; at least 1 is assumed.
    """
    # A power: math.sqrt would tie graphs that are traced for any image size to one size.
    values: Any = torch.sym_max(num_values, 1)
    return (values * max(highest, 1)) ** -0.5
