"""Where a range starts: estimators of the clipping range of a tensor, found by the name ``QuantSpec.initial_range``."""

from collections.abc import Callable

from torch import Tensor

from ..grids.levels import Levels
from ..spec import QuantSpec

Range = tuple[Tensor, Tensor]
Estimator = Callable[[Tensor, Levels, QuantSpec], Range]

ESTIMATORS: dict[str, Estimator] = {}


def register_estimator(name: str) -> Callable[[Estimator], Estimator]:
    """Decorator: use this function for ranges of this name.

    It gets finite values ``Tensor[G, N]``, N at least 1, one row a group, the levels and the spec, and returns the
    ends of the range, bottom and top, each ``Tensor[G]``. With symmetric levels only the top counts.
    """

    def add(estimator: Estimator) -> Estimator:
        if name in ESTIMATORS:
            raise ValueError(f"initial range {name!r} has an estimator already")
        ESTIMATORS[name] = estimator
        return estimator

    return add


def estimate_range(x: Tensor, spec: QuantSpec, levels: Levels, groups: int = 1, axis: int | None = None) -> Range:
    """Estimate the clipping range as ``spec.initial_range`` asks.

    Args:
        x: finite values, any shape, not empty.
        spec: settings of the method.
        levels: those that the range will carry.
        groups: number of ranges.
        axis: dimension whose channels are divided into groups; None with one range for all.

    Returns:
        bottom and top, float32, ``Tensor[]`` each, or ``Tensor[G]`` with an axis. Symmetric levels: bottom is
        ``-top``, or 0 without negative levels. Otherwise zero lies within the range.

    Raises:
        ValueError: an empty tensor.
    """
    if x.numel() == 0:
        raise ValueError(f"an empty tensor of shape {tuple(x.shape)} has no range")
    rows = x.detach().float()
    rows = rows.reshape(1, -1) if axis is None else rows.movedim(axis, 0).reshape(groups, -1)
    bottom, top = ESTIMATORS[spec.initial_range](rows, levels, spec)
    if levels.symmetric:
        bottom = -top if levels.low < 0 else top.new_zeros(top.shape)
    else:
        bottom, top = bottom.clamp_max(0.0), top.clamp_min(0.0)
    return (bottom[0], top[0]) if axis is None else (bottom, top)
