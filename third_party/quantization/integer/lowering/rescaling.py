"""Real factors as integers: multiplier, shift and bias of each channel."""

import torch
from torch import Tensor

from ...functional.fixed_point import fixed_point_multiplier
from ..code_grid import CodeGrid
from .values import Affine

# As precise as a float32.
MULTIPLIER_BITS = 25
# Below the 53 bits in which float64 holds whole numbers, so that the simulation is exact.
_SUM_BITS = 52
_LARGEST_SHIFT = 62


def multipliers(affine: Affine, grid: CodeGrid) -> tuple[Tensor, Tensor, Tensor]:
    """Integers by which a sum of terms becomes levels of a grid: ``(sum of c_i * t_i + b) / 2 ** d``.

    Args:
        affine: terms t_i with their scales and zero-points, and the bias.
        grid: with one zero-point.

    Returns:
        c int32 ``Tensor[terms, C]``, d int8 ``Tensor[C]`` and b int64 ``Tensor[C]``; C is 1 where channels agree.

    Raises:
        ValueError: numbers that are not finite, or too large for 52 bits.
    """
    ratios = torch.stack(torch.broadcast_tensors(*(term.scale / grid.step for term in affine.terms), affine.bias)[:-1])
    ratios = ratios.reshape(len(affine.terms), -1)
    offset = (affine.bias / grid.step + (grid.zero_point[0] - 0.5 * grid.half)).expand(ratios.shape[1])
    if not bool(offset.isfinite().all()):
        raise ValueError("a bias is not finite")
    zeros = torch.stack([term.zero_point.expand(ratios.shape[1]) for term in affine.terms])
    reach = torch.tensor([[term.reach] for term in affine.terms], dtype=torch.float64) + zeros.abs()
    largest = (ratios.abs() * reach).sum(0) + offset.abs()
    room = _SUM_BITS - 1 - torch.frexp(largest).exponent
    dominant = ratios.abs().amax(0)
    d = fixed_point_multiplier(dominant, MULTIPLIER_BITS, room.clamp(max=_LARGEST_SHIFT))[1]
    d = torch.where(dominant == 0, room.clamp(0, MULTIPLIER_BITS - 1), d).long()
    if bool((d < 0).any()):
        raise ValueError(f"outputs reach {float(largest.max()):.3g} levels, more than {_SUM_BITS} bits hold")
    c = torch.ldexp(ratios, d).round().long()
    b = torch.ldexp(offset, d).round().long() - (c * zeros).sum(0)
    return c.to(torch.int32), d.to(torch.int8), b
