"""The power of the error that suits a model: found by its loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from .calibrate import set_ranges
from .observers import ObserverContext
from .ranges import RangeRow
from .statistics import TensorStatistics

POWERS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)


@dataclass(frozen=True)
class PowerSearch:
    """What a search found.

    Attributes:
        power: the best p.
        losses: the loss at each p that was tried, in the order of trial.
        rows: the ranges at the best p, which the model has now.
    """

    power: float
    losses: dict[float, float]
    rows: tuple[RangeRow, ...]


def search_power(
    model: nn.Module,
    statistics: Mapping[str, TensorStatistics],
    loss: Callable[[], float],
    powers: Sequence[float] = POWERS,
    *,
    context: ObserverContext | None = None,
) -> PowerSearch:
    """Set ranges by the observer "lp", with the p at which the model's loss is least (LAPQ, arXiv 1911.07190).

    The loss is taken at some powers and, as in section 4.2, at the lowest point of a parabola through the best of
    them and its neighbours.

    Args:
        model: prepared, changed in place.
        statistics: as :func:`~.collect.collect` gives them.
        loss: of the model with its present ranges, on the calibration data.
        powers: those to try.
        context: settings of observers, but for the power.

    Raises:
        ValueError: no powers, or one that is not positive.
    """
    if not powers:
        raise ValueError("a search for the power needs some powers to try")
    context = context or ObserverContext()
    losses: dict[float, float] = {}

    def use(power: float) -> list[RangeRow]:
        return set_ranges(model, statistics, "lp", context=replace(context, power=power))

    for power in sorted(set(powers)):
        use(power)
        losses[power] = loss()
    between = _lowest_point(losses)
    if between is not None:
        use(between)
        losses[between] = loss()
    best = min(losses, key=lambda power: losses[power])
    return PowerSearch(best, losses, tuple(use(best)))


def _lowest_point(losses: dict[float, float]) -> float | None:
    """Where a parabola through the least loss and its neighbours is lowest; None if the least is at an end."""
    powers = list(losses)
    i = min(range(len(powers)), key=lambda k: losses[powers[k]])
    if not 0 < i < len(powers) - 1:
        return None
    some = powers[i - 1 : i + 2]
    square, linear, _ = np.polyfit(some, [losses[power] for power in some], 2)
    point = float(-linear / (2 * square)) if square > 0 else some[1]
    return None if point in losses else point
