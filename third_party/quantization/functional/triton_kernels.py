"""Fake quantization on NVIDIA GPUs: one pass forward, one pass backward.

The kernels do in float32 what :mod:`.eager` does, in the same order, with a correctly rounded division. A program
works on a piece of one (outer, group) row of the tensor, a group being what shares a step. Each backward program
writes its own partial sums, which are then added in one order, so that gradients do not change from run to run.

They have run under Triton's interpreter only, against :mod:`.eager`; no GPU has been at hand yet.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import eager, operators

BLOCK = 1024
SHORTEST_ROW = 32  # values that are worth a program; the plain kernels take the rest, and empty tensors


@triton.jit
def _round_small(u):  # type: ignore[no-untyped-def]  # Triton compiles annotations too
    """Nearest whole number, halves to even, for abs(u) <= 2 ** 22: the sum has no room for a fraction."""
    no_fraction = 12582912.0
    return (u + no_fraction) - no_fraction


@triton.jit
def _clamp(u, low, high):  # type: ignore[no-untyped-def]
    """Comparisons with NaN are false, so NaN stays."""
    u = tl.where(u < low, low, u)
    return tl.where(u > high, high, u)


@triton.jit
def _place(inner, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """The row of this program, and its values' places in the row."""
    pieces = tl.cdiv(inner, BLOCK)
    row = (tl.program_id(0) // pieces).to(tl.int64)
    return row, (tl.program_id(0) % pieces).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def _quantize(x_at, step_at, zero_at, y_at, groups, inner, low, high, half, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row, inside_row = _place(inner, BLOCK)
    mask = inside_row < inner
    step, zero = tl.load(step_at + row % groups), tl.load(zero_at + row % groups)
    x = tl.load(x_at + row * inner + inside_row, mask=mask, other=0.0).to(tl.float32)
    u = tl.div_rn(x, tl.full([BLOCK], 0.0, tl.float32) + step) + (zero - half)
    level = _round_small(_clamp(u, low, high)) - zero + half
    tl.store(y_at + row * inner + inside_row, (level * step).to(y_at.dtype.element_ty), mask=mask)


@triton.jit
def _differentiate(  # type: ignore[no-untyped-def]
    grad_at, x_at, step_at, zero_at, grad_x_at, of_step_at, clipped_at, groups, inner, low, high, half,
    CLIP_ONLY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, inside_row = _place(inner, BLOCK)
    mask = inside_row < inner
    step, zero = tl.load(step_at + row % groups), tl.load(zero_at + row % groups)
    x = tl.load(x_at + row * inner + inside_row, mask=mask, other=0.0).to(tl.float32)
    grad = tl.load(grad_at + row * inner + inside_row, mask=mask, other=0.0)
    grad32 = grad.to(tl.float32)
    ratio = tl.div_rn(x, tl.full([BLOCK], 0.0, tl.float32) + step)
    u = ratio + (zero - half)
    inside = (u >= low) & (u <= high)
    level = _round_small(_clamp(u, low, high)) - zero + half
    within = level - ratio
    if CLIP_ONLY:
        within = tl.zeros_like(ratio)
    of_step = tl.where(mask, tl.where(inside, within, level) * grad32, 0.0)
    clipped = tl.where(mask & (inside == 0), grad32, 0.0)
    tl.store(
        grad_x_at + row * inner + inside_row, tl.where(inside, grad, 0.0).to(grad_x_at.dtype.element_ty), mask=mask
    )
    tl.store(of_step_at + tl.program_id(0), tl.sum(of_step, axis=0))
    tl.store(clipped_at + tl.program_id(0), tl.sum(clipped, axis=0))


def _rows(x: Tensor, step: Tensor, axis: int | None) -> tuple[Tensor, int, int]:
    """``x`` with groups contiguous in memory, how many there are, and how many values lie in a row."""
    groups = step.numel()
    if groups == 1 or axis is None:
        return x.contiguous(memory_format=eager.memory_format(x)), 1, x.numel()
    axis = axis % x.dim()
    return x.contiguous(), groups, x.shape[axis] // groups * x.shape[axis + 1 :].numel()


def forward(x: Tensor, step: Tensor, zero_point: Tensor, *settings: Any) -> Tensor:
    """As :func:`.eager.forward`."""
    low, high, axis, half, *_ = settings
    rows, groups, inner = _rows(x, step, axis)
    if inner < SHORTEST_ROW:
        return eager.forward(x, step, zero_point, *settings)
    y = torch.empty_like(rows)
    programs = rows.numel() // inner * triton.cdiv(inner, BLOCK)
    numbers = (groups, inner, float(low), float(high), 0.5 if half else 0.0)
    with torch.cuda.device_of(x):
        _quantize[(programs,)](rows, step.float(), zero_point.float().round(), y, *numbers, BLOCK)
    return y.contiguous(memory_format=eager.memory_format(x))


def backward(
    grad: Tensor, x: Tensor, step: Tensor, zero_point: Tensor, *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`.eager.backward`."""
    low, high, axis, half, factor, clip_only = settings
    rows, groups, inner = _rows(x, step, axis)
    if inner < SHORTEST_ROW:
        return eager.backward(grad, x, step, zero_point, *settings)
    if grad.stride() != rows.stride():
        grad = torch.empty_like(rows).copy_(grad)
    grad_x = torch.empty_like(rows)
    pieces, s = triton.cdiv(inner, BLOCK), step.float()
    parts = torch.empty((2, rows.numel() // inner // groups, groups, pieces), dtype=torch.float32, device=x.device)
    numbers = (groups, inner, float(low), float(high), 0.5 if half else 0.0)
    with torch.cuda.device_of(x):
        _differentiate[(parts[0].numel(),)](
            grad, rows, s, zero_point.float().round(), grad_x, parts[0], parts[1], *numbers, clip_only, BLOCK
        )
    of_step, clipped = (parts.double().sum((1, 3)) * factor).view(2, *step.shape)
    grad_x = grad_x.contiguous(memory_format=eager.memory_format(x))
    return grad_x, of_step.to(step.dtype), (-s.double() * clipped).to(zero_point.dtype)


def register() -> None:
    """Put these kernels before the plain ones on CUDA. Once a process."""
    torch.library.impl(operators.FORWARD, "CUDA", forward)
    torch.library.impl(operators.BACKWARD, "CUDA", backward)
