"""One option for each layer under a budget."""

import itertools
import json

import numpy as np
import pytest

from third_party.quantization.ptq.choice.search import Option, Solver


def _random_options(seed, layers=5, count=3):
    rng = np.random.default_rng(seed)
    return {
        f"layer{i}": [Option(f"o{j}", float(rng.integers(0, 50)), float(rng.normal())) for j in range(count)]
        for i in range(layers)
    }


@pytest.mark.parametrize("seed", range(12))
def test_the_best_of_all_assignments_is_found(seed):
    options = _random_options(seed)
    solver = Solver(options, resolution=20000)
    every = list(itertools.product(*options.values()))
    for share in (0.0, 0.3, 0.8, 1.0):
        budget = solver.cheapest + share * (solver.dearest - solver.cheapest)
        best = min(sum(o.change for o in c) for c in every if sum(o.cost for o in c) <= budget + 1e-9)
        # Costs are rounded up: with a little more room it must be reached, and the budget is never exceeded.
        assert solver.solve(budget).cost <= budget + 1e-9
        assert solver.solve(budget + 0.05).change <= best + 1e-9
        made = solver.solve(budget)
        assert made.change == pytest.approx(sum(o.change for o in made.picked.values()))


def test_the_frontier_gets_better_as_it_gets_dearer():
    found = Solver(_random_options(3, 12, 4)).frontier(40)
    assert len(found) > 5
    assert all(a.change > b.change and a.cost < b.cost for a, b in itertools.pairwise(found))


def test_a_budget_that_cannot_be_met():
    with pytest.raises(ValueError, match="a budget of 4 cannot be met: the cheapest options cost 5"):
        Solver({"a": [Option("W8", 5.0, 0.0), Option("float", 9.0, 0.0)]}).solve(4.0)


@pytest.mark.parametrize("options", [{}, {"a": []}, {"a": [Option("W8", -1.0, 0.0)]}])
def test_bad_options(options):
    with pytest.raises(ValueError):
        Solver(options)


def test_explanation():
    options = {"a": [Option("W4A8", 4.0, 0.5), Option("W8A8", 8.0, 0.0)], "b": [Option("W8A8", 8.0, 0.0)]}
    made = Solver(options).solve(13.0)
    assert made.picked["a"].name == "W4A8"
    first, second = made.explain("W8A8").splitlines()
    assert first.startswith("1 of 2 layers W8A8; cost 12 of at most 13")
    assert second == "a: W4A8, cost 4, change of the loss +0.5"
    assert json.loads(json.dumps(made.to_dict()))["picked"]["a"]["change"] == 0.5
