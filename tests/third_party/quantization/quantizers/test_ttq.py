"""Trained ternary quantization against equations 6 to 8 of its paper, in numpy."""

import numpy as np
import pytest
import torch

from third_party.quantization.grids import CodebookGrid, IntegerGrid
from third_party.quantization.quantizers.registry import build_quantizer
from third_party.quantization.spec import Role, TTQSpec

SHAPE = (4, 3, 3, 3)
GROUPS = [("tensor", 1), ("channel", 4), (2, 2)]


@pytest.fixture
def weight():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


def make(granularity="tensor", **settings):
    return build_quantizer(TTQSpec(granularity=granularity, **settings), Role.WEIGHT, 4)


def zones(weight, groups, share):
    rows = weight.detach().double().numpy().reshape(groups, -1)
    threshold = share * np.abs(rows).max(axis=1, keepdims=True)
    return rows, rows > threshold, rows < -threshold


@pytest.mark.parametrize(("granularity", "groups"), GROUPS)
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_first_levels_are_the_means_of_their_zones(weight, granularity, groups, share):
    out = make(granularity, threshold=share)(weight).detach().numpy().reshape(groups, -1)
    rows, above, below = zones(weight, groups, share)
    for i in range(groups):
        np.testing.assert_allclose(out[i][above[i]], rows[i][above[i]].mean(), rtol=1e-5)
        np.testing.assert_allclose(out[i][below[i]], rows[i][below[i]].mean(), rtol=1e-5)
        assert not out[i][~above[i] & ~below[i]].any()


@pytest.mark.parametrize(("granularity", "groups"), GROUPS)
def test_gradients(weight, granularity, groups):
    quantizer = make(granularity, threshold=0.3)
    quantizer(weight)
    quantizer.positive_level.data.fill_(2.0)
    quantizer.negative_level.data.fill_(0.5)
    weight.requires_grad_()
    grad = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    quantizer(weight).backward(grad)
    g = grad.double().numpy().reshape(groups, -1)
    _, above, below = zones(weight, groups, 0.3)
    expected = g * np.where(above, 2.0, np.where(below, 0.5, 1.0))
    np.testing.assert_allclose(weight.grad.numpy().reshape(groups, -1), expected, rtol=1e-6)
    np.testing.assert_allclose(quantizer.positive_level.grad.view(-1), (g * above).sum(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(quantizer.negative_level.grad.view(-1), -(g * below).sum(1), rtol=1e-4, atol=1e-5)


def test_gradients_of_the_levels_are_derivatives(weight):
    quantizer = make(threshold=0.3)
    quantizer(weight)
    probe = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    (quantizer(weight) * probe).sum().backward()
    for parameter in (quantizer.positive_level, quantizer.negative_level):
        values = []
        for step in (0.5, -1.0):
            parameter.data += step
            values.append(float((quantizer(weight).detach().double() * probe).sum()))
            parameter.data += 0.5 if step < 0 else 0
        assert values[0] - values[1] == pytest.approx(float(parameter.grad), rel=1e-3)


def test_untied_levels_are_a_codebook_that_says_why(weight):
    quantizer = make("channel")
    out = quantizer(weight)
    grid = quantizer.grid()
    assert isinstance(grid, CodebookGrid) and "codebook" in grid.refusal and grid.has_zero
    assert torch.equal(grid.values(quantizer.integers(weight)), out)


def test_tied_levels_are_whole_multiples_of_one_scale(weight):
    quantizer = make(tied=True, threshold=0.3)
    out = quantizer(weight)
    grid = quantizer.grid()
    assert isinstance(grid, IntegerGrid) and grid.exact and [*dict(quantizer.named_parameters())] == ["scale"]
    assert torch.equal(grid.values(quantizer.integers(weight)), out)
    chosen = weight.abs() > 0.3 * weight.abs().max()
    torch.testing.assert_close(out, weight.sign() * chosen * weight[chosen].abs().mean())
    out.backward(weight)
    torch.testing.assert_close(quantizer.scale.grad, (weight.abs() * chosen).sum())


def test_threshold_is_not_midway(weight):
    quantizer = make(tied=True, threshold=0.05)
    quantizer(weight)
    assert not torch.equal(quantizer.grid().codes(weight), quantizer.integers(weight))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_weights_of_one_sign(sign):
    weight = sign * torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    quantizer = make()
    out = quantizer(weight)
    assert out.isfinite().all() and (out * sign >= 0).all()
    assert quantizer.grid().levels().isfinite().all()
