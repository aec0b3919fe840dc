"""Choosing one option for each layer under a budget."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Option:
    """One way to treat a layer.

    Attributes:
        name: of the option, such as "W4A8" or "float".
        cost: in the unit of the budget, at least 0.
        change: of the loss, against the model that the options were measured in.
    """

    name: str
    cost: float
    change: float


@dataclass(frozen=True)
class Assignment:
    """An option for each layer.

    Attributes:
        picked: layer -> option.
        cost: of all.
        change: of the loss, if the changes add up.
        budget: that was to be kept.
    """

    picked: dict[str, Option]
    cost: float
    change: float
    budget: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def explain(self, usual: str) -> str:
        """What differs from the usual option, a line a layer, the most costly first."""
        others = [(name, option) for name, option in self.picked.items() if option.name != usual]
        others.sort(key=lambda pair: -pair[1].cost)
        lines = [
            f"{len(self.picked) - len(others)} of {len(self.picked)} layers {usual}; cost {self.cost:.4g} of at most "
            f"{self.budget:.4g}, change of the loss {self.change:+.4g} if the layers' changes add up"
        ]
        lines += [f"{name}: {o.name}, cost {o.cost:.4g}, change of the loss {o.change:+.4g}" for name, o in others]
        return "\n".join(lines)


class Solver:
    """Least change of the loss for every budget at once, by dynamic programming over rounded costs.

    The multiple-choice knapsack problem: changes are taken to add up. Costs are rounded up to ``1 / resolution`` of
    the largest sum, so that a budget is kept for certain, and the loss is the least there is up to that rounding.

    Args:
        options: at least one for each layer.
        resolution: number of budgets that are told apart.

    Raises:
        ValueError: no layer, a layer without options, or a negative cost.
    """

    def __init__(self, options: Mapping[str, Sequence[Option]], resolution: int = 4096) -> None:
        if not options:
            raise ValueError("there is no layer to choose for")
        for name, own in options.items():
            if not own or any(option.cost < 0 for option in own):
                raise ValueError(f"layer {name!r} needs at least one option, and no cost below 0; got {list(own)}")
        self.options = {name: list(own) for name, own in options.items()}
        self.cheapest = sum(min(option.cost for option in own) for own in self.options.values())
        self.dearest = sum(max(option.cost for option in own) for own in self.options.values())
        # The least costs are taken off exactly: rounding concerns what options cost beyond the cheapest.
        self._unit = max((self.dearest - self.cheapest) / resolution, np.finfo(float).tiny)
        self._table, self._picks = self._fill(resolution + len(self.options))

    def _steps(self, own: Sequence[Option]) -> list[int]:
        least = min(option.cost for option in own)
        return [int(np.ceil((option.cost - least) / self._unit - 1e-9)) for option in own]

    def _fill(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        best = np.zeros(size + 1)
        picks = np.zeros((len(self.options), size + 1), dtype=np.int16)
        for row, own in enumerate(self.options.values()):
            values = np.full((len(own), size + 1), np.inf)
            for index, (option, steps) in enumerate(zip(own, self._steps(own), strict=True)):
                values[index, steps:] = best[: size + 1 - steps] + option.change
            picks[row] = values.argmin(axis=0)
            best = values.min(axis=0)
        return best, picks

    def solve(self, budget: float) -> Assignment:
        """The best assignment within a budget.

        Raises:
            ValueError: even the cheapest options cost more.
        """
        if budget < self.cheapest * (1 - 1e-12):
            raise ValueError(f"a budget of {budget:.6g} cannot be met: the cheapest options cost {self.cheapest:.6g}")
        left = int(min((budget - self.cheapest) / self._unit + 1e-9, len(self._table) - 1))
        picked: dict[str, Option] = {}
        for row in reversed(range(len(self.options))):
            name = list(self.options)[row]
            own = self.options[name]
            index = int(self._picks[row, left])
            picked[name] = own[index]
            left -= self._steps(own)[index]
        picked = {name: picked[name] for name in self.options}
        cost, change = (sum(getattr(o, field) for o in picked.values()) for field in ("cost", "change"))
        return Assignment(picked, cost, change, budget)

    def frontier(self, points: int = 64) -> list[Assignment]:
        """Assignments of growing cost and falling change of the loss, from the cheapest to the best."""
        found: list[Assignment] = []
        for budget in np.linspace(self.cheapest, self.dearest, points):
            made = self.solve(float(budget))
            if not found or made.change < found[-1].change:
                found.append(made)
        return found
