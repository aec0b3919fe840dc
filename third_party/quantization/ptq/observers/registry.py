"""How a clipping range follows from statistics: observers, found by name."""

from collections.abc import Callable
from dataclasses import dataclass

from ...grids.levels import Levels
from ...spec.choices import check_choice, check_number
from ..statistics import TensorStatistics


@dataclass(frozen=True)
class ObserverContext:
    """What some observers want to know besides the statistics.

    Attributes:
        percentile: the share of values that the observer "percentile" leaves inside.
        power: p of the observer "lp".

    Raises:
        ValueError: a share beyond (0, 1], or a power that is not positive.
    """

    percentile: float = 0.9999
    power: float = 2.5

    def __post_init__(self) -> None:
        check_number("percentile", self.percentile, above=0.0, at_most=1.0)
        check_number("power", self.power, above=0.0, at_most=16.0)


Range = tuple[float, float]
Observer = Callable[[TensorStatistics, Levels, ObserverContext], Range]

OBSERVERS: dict[str, Observer] = {}
_TO_THE_LETTER: set[str] = set()


def register_observer(name: str, *, to_the_letter: bool = False) -> Callable[[Observer], Observer]:
    """Decorator: find this observer by this name.

    It gets the statistics of a tensor, with at least one value, the levels that will carry the range, and a context;
    it returns the ends of the range, the bottom at most the top. With symmetric levels the farther end decides.

    Args:
        name: of the observer.
        to_the_letter: it is a published method to compare with, and is asked also where the range is known.
    """

    def add(observer: Observer) -> Observer:
        if name in OBSERVERS:
            raise ValueError(f"there is an observer {name!r} already")
        OBSERVERS[name] = observer
        if to_the_letter:
            _TO_THE_LETTER.add(name)
        return observer

    return add


def known_range(name: str, statistics: TensorStatistics) -> Range | None:
    """The range that takes the place of an observer's, since the tensor's bounds are known; None if there is none.

    Values beyond the bounds, which other batches may have had, widen it.
    """
    if statistics.bounds is None or name in _TO_THE_LETTER:
        return None
    return min(statistics.bounds[0], statistics.minimum), max(statistics.bounds[1], statistics.maximum)


def observe(name: str, statistics: TensorStatistics, levels: Levels, context: ObserverContext | None = None) -> Range:
    """The range that an observer chooses, or the one that is known whatever the data.

    Raises:
        ValueError: an unknown observer, or statistics of no values.
    """
    check_choice("observer", name, OBSERVERS)
    if statistics.count == 0:
        raise ValueError("statistics of no values have no range")
    known = known_range(name, statistics)
    bottom, top = known or OBSERVERS[name](statistics, levels, context or ObserverContext())
    return bottom, max(bottom, top)
