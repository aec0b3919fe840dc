"""What quantization does to the values of a distribution, for many ranges at a time."""

from torch import Tensor

from ..grids.levels import Levels
from .distribution import Distribution


def place(bottom: Tensor, top: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
    """Step and rounded zero-point of ranges, float64 ``Tensor[K]`` each; zero is taken into the ranges."""
    step, zero = levels.place(bottom.double().clamp_max(0.0), top.double().clamp_min(0.0))
    return step, zero.round()


def range_error(values: Distribution, bottom: Tensor, top: Tensor, levels: Levels, power: float = 2.0) -> Tensor:
    """Mean of ``|q(x) - x| ** power`` over all values, for each of K ranges.

    Args:
        values: the distribution.
        bottom, top: the ranges, ``Tensor[K]``, as :meth:`Levels.place` takes them; zero-points are rounded.
        levels: those that a range carries.
        power: p, above 0.

    Returns:
        float64 ``Tensor[K]``.
    """
    return step_error(values, *place(bottom, top, levels), levels, power)


def step_error(values: Distribution, step: Tensor, zero: Tensor, levels: Levels, power: float = 2.0) -> Tensor:
    """:func:`range_error` for steps and zero-points, ``Tensor[K]`` each, of which the latter need not be whole.

    Exact for values spread evenly within the bins, however wide these are: with ``u = x / step + zero_point - h`` and
    k the level that u is rounded and clipped to, the integral of ``|u - k| ** p`` is
    ``2 k / ((p + 1) 2^(p + 1)) + sign(u - k) |u - k|^(p + 1) / (p + 1)``, inside of the range as beyond it.
    """
    offset = (zero - 0.5 * levels.half)[:, None]
    u = values.edges / step[:, None] + offset
    k = u.clamp(levels.low, levels.high).round_()
    rest = u - k
    size = rest.abs()
    area = k * (2 * 0.5 ** (power + 1)) + rest * (size.square() if power == 2.0 else size**power)
    means = area.diff(dim=1) / ((power + 1) * u.diff(dim=1))
    at_zero = (offset - offset.clamp(levels.low, levels.high).round()).abs().squeeze(1) ** power
    return ((means * values.counts).sum(1) + at_zero * values.zeros) * step**power / max(values.total, 1.0)


def share_clipped(values: Distribution, step: float, zero: float, levels: Levels) -> float:
    """The share of values that lie more than half a step beyond the outermost levels."""
    half = 0.5 * levels.half
    low, high = ((end - zero + half) * step for end in (levels.low - 0.5, levels.high + 0.5))
    return max(1.0 - values.share_between(low, high), 0.0)
