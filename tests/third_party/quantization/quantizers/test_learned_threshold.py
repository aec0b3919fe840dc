"""Learned thresholds: levels, thresholds that decide, and gradients that extend LSQ's."""

import pytest
import torch

from third_party.quantization.functional.fake_quantize import fake_quantize
from third_party.quantization.grids import IntegerGrid, IntervalGrid
from third_party.quantization.quantizers.registry import build_quantizer
from third_party.quantization.spec import LearnedThresholdSpec, Role

# Levels in steps, by number of levels, sign, grid.
LEVELS = {
    (2, False, "integer"): [0, 1],
    (3, False, "integer"): [0, 1, 2],
    (4, False, "integer"): [0, 1, 2, 3],
    (2, True, "integer"): [-0.5, 0.5],
    (3, True, "integer"): [-1, 0, 1],
    (3, True, "interval"): [-1, 0, 1],
    (4, True, "integer"): [-2, -1, 0, 1],
    (4, True, "interval"): [-1.5, -0.5, 0.5, 1.5],
}


def make(levels=3, grid="integer", role=Role.ACTIVATION, **settings):
    spec = LearnedThresholdSpec(levels=levels, bits=1 if levels == 2 else 2, grid=grid, **settings)
    return build_quantizer(spec, role, 4, 1)


def data(signed):
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    return x if signed else x.relu()


@pytest.mark.parametrize(("case", "steps"), LEVELS.items(), ids=str)
def test_levels(case, steps):
    levels, signed, grid = case
    quantizer = make(levels, grid)
    out = quantizer(data(signed)).detach()
    expected = torch.tensor(steps) * quantizer.scale.detach()
    torch.testing.assert_close(quantizer.grid().levels(), expected)
    assert quantizer.grid().exact
    assert isinstance(quantizer.grid(), IntervalGrid if steps[0] % 1 else IntegerGrid)
    assert {round(v, 5) for v in out.unique().tolist()} <= {round(v, 5) for v in expected.tolist()}


@pytest.mark.parametrize(("case", "steps"), LEVELS.items(), ids=str)
def test_first_thresholds_lie_midway(case, steps):
    levels, signed, grid = case
    quantizer = make(levels, grid)
    x = data(signed)
    quantizer(x)
    assert quantizer.thresholds.tolist() == [(a + b) / 2 for a, b in zip(steps, steps[1:], strict=False)]
    assert torch.equal(quantizer.integers(x), quantizer.grid().codes(x))


@pytest.mark.parametrize("case", LEVELS, ids=str)
def test_first_scale_is_a_minimum_of_the_error(case):
    levels, signed, grid = case
    quantizer = make(levels, grid)
    x = data(signed)
    best = float((quantizer(x) - x).square().sum())
    for factor in (0.95, 1.05):
        other = make(levels, grid)
        other.load_state_dict(quantizer.state_dict())
        other.scale.data *= factor
        assert float((other(x) - x).square().sum()) > best


def test_values_go_by_the_thresholds_not_by_the_nearest_level():
    quantizer = make(4)
    x = torch.tensor([0.0, 0.3, 0.8, 1.5, 2.8, 2.95, 9.0]).view(1, 1, 1, -1)
    quantizer(x)
    quantizer.scale.data.fill_(2.0)
    quantizer.thresholds.data.copy_(torch.tensor([0.1, 0.7, 1.45]))
    assert quantizer(x).flatten().tolist() == [0, 2, 2, 4, 4, 6, 6]
    assert quantizer.integers(x).flatten().tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert quantizer.grid().codes(x).flatten().tolist() == [0, 0, 0, 1, 1, 1, 3]


@pytest.mark.parametrize("case", LEVELS, ids=str)
@pytest.mark.parametrize("granularity", ["tensor", "channel", 2])
def test_gradients_at_the_start_are_those_of_lsq(case, granularity):
    levels, signed, grid = case
    quantizer = make(levels, grid, granularity=granularity)
    x = data(signed).requires_grad_()
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    out = quantizer(x)
    out.backward(grad)
    steps = LEVELS[case]
    half = bool(steps[0] % 1)
    low, high = int(steps[0] - 0.5 * half), int(steps[-1] - 0.5 * half)
    scale, twin = quantizer.scale.detach().clone().requires_grad_(), x.detach().clone().requires_grad_()
    factor = (x.numel() / quantizer.num_groups * (levels - 1)) ** -0.5
    expected = fake_quantize(
        twin, scale, torch.zeros_like(scale), low, high, axis=quantizer.axis, half=half, gradient_factor=factor
    )
    expected.backward(grad)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(x.grad, twin.grad)
    torch.testing.assert_close(quantizer.scale.grad, scale.grad, rtol=1e-4, atol=1e-5)


def test_a_threshold_moves_towards_values_that_want_the_other_level():
    quantizer = make(2, role=Role.ACTIVATION)
    x = torch.tensor([0.0, 0.6, 1.0, 1.0]).view(1, 1, 1, -1)
    quantizer(x)
    quantizer.scale.data.fill_(1.0)
    # The loss falls when the result at 0.6 falls, so the threshold must rise: its gradient is negative.
    quantizer(x).backward(torch.tensor([0.0, 1.0, 0.0, 0.0]).view_as(x))
    assert float(quantizer.thresholds.grad) == pytest.approx(-(4**-0.5))


def test_weights_are_signed():
    quantizer = make(3, role=Role.WEIGHT, granularity="channel")
    weight = data(True)
    out = quantizer(weight)
    assert quantizer.scale.shape == (4,) and quantizer.thresholds.shape == (4, 2)
    assert torch.equal(quantizer.grid().values(quantizer.integers(weight)), out)


def test_width_is_fixed():
    with pytest.raises(ValueError, match="3 levels has 2 bits, not 1"):
        make(3).set_bits(1)
    make(3).set_bits(2)


def test_nan_is_not_hidden():
    quantizer = make()
    quantizer(data(True))
    assert quantizer(torch.full((1, 4, 1, 1), float("nan"))).isnan().all()
