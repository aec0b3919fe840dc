"""Rounding with compensation, against exhaustive search and nearest rounding."""

import itertools

import pytest
import torch

from third_party.quantization.ptq.rounding import gptq as module
from third_party.quantization.ptq.rounding.gptq import LevelRounding, gptq, squared_errors


def squared_error_of(levels, weight, second, cross):
    return float(squared_errors(levels, weight, second, cross).sum())


def problem(groups=2, outputs=3, inputs=6, noise=0.3, seed=0):
    """Weights, and moments of inputs that are correlated and of the same with errors."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(groups, outputs, inputs, generator=generator, dtype=torch.double)
    mixing = torch.randn(groups, inputs, inputs, generator=generator, dtype=torch.double)
    exact = mixing @ torch.randn(groups, inputs, 400, generator=generator, dtype=torch.double)
    seen = exact + noise * torch.randn(exact.shape, generator=generator, dtype=torch.double)
    return weight, exact, seen


def rounding_of(weight, step=0.7, low=-4, high=3):
    shape = torch.ones_like(weight)
    return LevelRounding(step * shape, 0 * shape, low, high)


def nearest(weight, rounding):
    return torch.stack([rounding(weight[:, :, k], k) for k in range(weight.shape[2])], 2)


def moments(exact, seen):
    return seen @ seen.mT / seen.shape[2], seen @ exact.mT / seen.shape[2]


@pytest.mark.parametrize("seed", range(4))
def test_the_error_is_that_of_the_data_and_below_that_of_nearest_levels(seed):
    weight, exact, seen = problem(seed=seed)
    rounding, (second, cross) = rounding_of(weight), moments(exact, seen)
    found = gptq(weight, second, cross, rounding)
    power = (weight @ exact).square().sum() / exact.shape[2]
    for levels in (found, nearest(weight, rounding)):
        direct = (levels @ seen - weight @ exact).square().sum() / exact.shape[2]
        assert squared_error_of(levels, weight, second, cross) + power == pytest.approx(float(direct), rel=1e-9)
    errors = [squared_error_of(levels, weight, second, cross) + power for levels in (found, nearest(weight, rounding))]
    assert errors[0] < 0.8 * errors[1]
    codes = found / 0.7
    torch.testing.assert_close(codes, codes.round())
    assert codes.min() >= -4 and codes.max() <= 3


def test_it_is_close_to_the_best_of_all_levels():
    weight, exact, seen = problem(groups=1, outputs=1, inputs=5)
    rounding, (second, cross) = rounding_of(weight, low=-2, high=1), moments(exact, seen)
    tried = [
        torch.tensor(codes, dtype=torch.double).view(1, 1, -1) * 0.7
        for codes in itertools.product(range(-2, 2), repeat=5)
    ]
    power = float((weight @ exact).square().sum() / exact.shape[2])
    best = min(squared_error_of(levels, weight, second, cross) for levels in tried) + power
    found = squared_error_of(gptq(weight, second, cross, rounding, damping=1e-6), weight, second, cross) + power
    assert best <= found <= 1.3 * best


def test_no_single_weight_could_be_better():
    weight, exact, seen = problem()
    rounding, (second, cross) = rounding_of(weight), moments(exact, seen)
    found = gptq(weight, second, cross, rounding, damping=1e-9, sweeps=50)
    error = squared_error_of(found, weight, second, cross)
    for place in itertools.product(*map(range, found.shape)):
        for step in (-0.7, 0.7):
            other = found.clone()
            other[place] += step
            if -4 <= round(float(other[place]) / 0.7) <= 3:
                assert squared_error_of(other, weight, second, cross) >= error - 1e-9


def test_sweeps_do_not_make_it_worse():
    weight, exact, seen = problem(inputs=20)
    rounding, (second, cross) = rounding_of(weight), moments(exact, seen)
    one, other = (gptq(weight, second, cross, rounding, damping=1e-9, sweeps=sweeps) for sweeps in (0, 4))
    assert squared_error_of(other, weight, second, cross) < squared_error_of(one, weight, second, cross)


def test_inputs_that_say_nothing_of_each_other_give_nearest_levels():
    weight, *_ = problem()
    rounding = rounding_of(weight)
    second = torch.eye(6, dtype=torch.double).expand(2, 6, 6)
    assert torch.equal(gptq(weight, second, second, rounding), nearest(weight, rounding))
    assert torch.equal(gptq(weight, 0 * second, 0 * second, rounding), nearest(weight, rounding))


def test_columns_at_a_time_change_nothing(monkeypatch):
    weight, exact, seen = problem(outputs=20, inputs=40)
    rounding, (second, cross) = rounding_of(weight), moments(exact, seen)
    found = []
    for columns in (7, 128):
        monkeypatch.setattr(module, "_COLUMNS_AT_A_TIME", columns)
        found.append(gptq(weight, second, cross, rounding, sweeps=30))
    torch.testing.assert_close(*found)
    assert not torch.equal(found[1], gptq(weight, second, cross, rounding, sweeps=1))


def test_moments_that_rounding_has_made_indefinite_do():
    weight, exact, seen = problem()
    rounding, (second, cross) = rounding_of(weight), moments(exact, seen)
    second[0] = torch.ones_like(second[0])
    second[0, 0, 1] = second[0, 1, 0] = 1.1
    found = gptq(weight, second, cross, rounding)
    assert found.isfinite().all()
    assert torch.equal(found[1:], gptq(weight[1:], second[1:], cross[1:], rounding_of(weight[1:])))
