"""Factors as integers: ``c / 2 ** d``, and batch norm and skip connections that need no floating point.

AQD, arXiv 2007.06919, sections 3.3 and 3.4. Products are shifted right with rounding half to even, as the grids
round. Integers are int64, so nothing overflows for multipliers of up to 16 bits and accumulators of up to 32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..grids.grid import broadcast

LARGEST_SHIFT = 62
# A bias beyond would leave float64 (53 bits), in which the integers are simulated, no room to be exact.
_BIAS_BITS = 50


def fixed_point_multiplier(
    ratio: Tensor | float, bits: int = 16, largest_shift: Tensor | int = LARGEST_SHIFT
) -> tuple[Tensor, Tensor]:
    """Integers c, d with ``c / 2 ** d`` next to ``ratio``.

    c has ``bits`` bits with its sign and uses them all, so that the error is at most ``2 ** -(bits - 1)`` of the
    ratio, and ``2 ** -(d + 1)`` where ``largest_shift`` bounds d. A ratio of 0 is 0 / 1.

    Args:
        ratio: finite, any shape.
        bits: width of c, 2 to 31.
        largest_shift: highest d, at most 62; one, or one for each ratio.

    Returns:
        c (int64) and d (int32) in the shape of ``ratio``; d is negative, a shift to the left, for ratios that c
        cannot hold.

    Raises:
        ValueError: ``bits`` out of range, or a ratio that is not finite.
    """
    if not 2 <= bits <= 31:
        raise ValueError(f"bits of a fixed-point multiplier must be from 2 to 31, got {bits!r}")
    exact = torch.as_tensor(ratio).detach().double()
    if not bool(exact.isfinite().all()):
        raise ValueError(f"a ratio of {exact[~exact.isfinite()].tolist()[:3]} is no c / 2 ** d")
    exponent = torch.frexp(exact).exponent.to(torch.int32)
    # the mantissa lies in [1/2, 1); what rounds up to 1 takes the next exponent, that c keeps to its width
    exponent = exponent + (torch.ldexp(exact, bits - 1 - exponent).round().abs() >= 2 ** (bits - 1))
    d = torch.minimum(bits - 1 - exponent, torch.as_tensor(largest_shift, dtype=torch.int32, device=exact.device))
    d = torch.where(exact == 0, 0, d).to(torch.int32)
    return torch.ldexp(exact, d).round().long(), d


def shift_right(values: Tensor, d: Tensor | int) -> Tensor:
    """``values / 2 ** d`` rounded half to even, in integers; int64, below 2 ** 62. A negative d shifts to the left."""
    d = torch.as_tensor(d, device=values.device).long()
    right, left = d.clamp_min(0), (-d).clamp_min(0)
    values = values.long() << left
    quotient = values >> right
    rest = values - (quotient << right)
    unit = torch.ones_like(right) << right
    # compared as unit - rest: twice the rest might not fit
    up = (rest > unit - rest) | ((rest == unit - rest) & (quotient % 2 == 1))
    return quotient + up.long()


@dataclass(frozen=True)
class FixedPointAffine:
    """``round((c * k + b) / 2 ** d)`` for whole k, one c, d and b a channel.

    Attributes:
        c: multipliers, int64 ``Tensor[C]``.
        d: shifts, int32 ``Tensor[C]``.
        b: biases in units of the product, int64 ``Tensor[C]``.
    """

    c: Tensor
    d: Tensor
    b: Tensor

    def apply(self, accumulator: Tensor, axis: int = 1) -> Tensor:
        """Output codes, int64, for integers with channels along ``axis``: multiply, add and shift in int64."""
        c, d, b = (broadcast(v, accumulator, axis) for v in (self.c, self.d, self.b))
        return shift_right(accumulator.long() * c + b, d)

    def simulate(self, accumulator: Tensor, axis: int = 1) -> Tensor:
        """The same numbers in float64, equal while ``c * k + b`` stays below 2 ** 53."""
        c, d, b = (broadcast(v, accumulator, axis) for v in (self.c.double(), self.d, self.b.double()))
        return torch.ldexp(accumulator.double() * c + b, -d).round()


def fixed_point_batch_norm(
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: float,
    accumulator_scale: Tensor,
    output_scale: Tensor,
    bits: int = 16,
) -> FixedPointAffine:
    """Batch norm on a convolution's integers, as integer multiply-add.

    With an accumulator ``k`` of value ``k * accumulator_scale``, the norm's output in units of ``output_scale`` is
    ``k * r + t``, where ``r = gamma * accumulator_scale / (sqrt(var + eps) * output_scale)`` and
    ``t = (beta - mean * gamma / sqrt(var + eps)) / output_scale``. r becomes ``c / 2 ** d`` and t becomes
    ``b / 2 ** d``; before rounding the result is off by at most ``(abs(k) + 1) / 2 ** (d + 1)``.

    Args:
        gamma, beta, mean, var: of the norm, ``Tensor[C]``.
        eps: of the norm.
        accumulator_scale: step of the input times step of the weights, ``Tensor[]`` or ``Tensor[C]``.
        output_scale: step of the quantizer that follows, ``Tensor[]`` or ``Tensor[C]``.
        bits: width of the multipliers, 2 to 31.

    Raises:
        ValueError: ``bits`` out of range, or numbers that are not finite.
    """
    scale = gamma.double() / (var.double() + eps).sqrt()
    ratio = scale * accumulator_scale.double() / output_scale.double()
    bias = (beta.double() - mean.double() * scale) / output_scale.double()
    if not bool(bias.isfinite().all()):
        raise ValueError("a batch norm's shift is not finite")
    room = _BIAS_BITS - torch.frexp(bias).exponent.to(torch.int32)
    c, d = fixed_point_multiplier(ratio, bits, torch.minimum(room, torch.full_like(room, LARGEST_SHIFT)))
    # a channel without slope has d = 0, which would round its shift to whole codes twice; its own unit costs nothing
    d = torch.where(c == 0, room.clamp(0, bits - 1), d).to(torch.int32)
    return FixedPointAffine(c.detach(), d, torch.ldexp(bias, d).round().long().detach())


def align_scales(scale: Tensor, reference: Tensor, bits: int = 16) -> tuple[Tensor, Tensor]:
    """Integers c, d by which codes of one branch of a skip connection become codes of the other's scale.

    ``scale / reference`` is next to ``c / 2 ** d``: error bound and types as in :func:`fixed_point_multiplier`.

    Args:
        scale: of the branch to be brought over, ``Tensor[]`` or ``Tensor[C]``.
        reference: of the branch that stays.

    Raises:
        ValueError: a scale that is not positive and finite.
    """
    for name, value in (("scale", scale), ("reference", reference)):
        if not bool(((value > 0) & value.isfinite()).all()):
            raise ValueError(f"{name} of a skip connection must be positive and finite, got {value.tolist()}")
    return fixed_point_multiplier(scale.double() / reference.double(), bits)


def add_aligned(codes: Tensor, reference_codes: Tensor, c: Tensor, d: Tensor, axis: int | None = None) -> Tensor:
    """Sum of two branches in codes of the reference's scale, int64; zero-points are taken off before.

    Args:
        codes: of the branch to be brought over, any integers.
        reference_codes: of the other, in the same shape.
        c, d: from :func:`align_scales`, ``Tensor[]``, or ``Tensor[C]`` along ``axis``.
    """
    return shift_right(codes.long() * broadcast(c, codes, axis), broadcast(d, codes, axis)) + reference_codes.long()
