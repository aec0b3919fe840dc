"""XNOR-Net against the formulas of its paper, in numpy."""

import numpy as np
import pytest
import torch

from third_party.quantization.grids import IntegerGrid, IntervalGrid
from third_party.quantization.quantizers.registry import build_quantizer
from third_party.quantization.quantizers.xnor import XNORActivation, XNORWeight
from third_party.quantization.spec import Role, XNORSpec

WEIGHT_SHAPE = (4, 3, 3, 3)


def make(granularity="tensor", role=Role.WEIGHT, **settings):
    return build_quantizer(XNORSpec(granularity=granularity, **settings), role, 4, 0 if role is Role.WEIGHT else 1)


def rows_of(array, granularity):
    """The values that share a scale in a row each."""
    groups = {"tensor": 1, "channel": 4}.get(granularity, granularity)
    return array.reshape(groups, -1)


@pytest.fixture
def weight():
    return torch.randn(WEIGHT_SHAPE, generator=torch.Generator().manual_seed(1)) * 1.2


@pytest.mark.parametrize("granularity", ["tensor", "channel", 2])
def test_weights_are_signs_times_the_mean_magnitude(weight, granularity):
    rows = rows_of(weight.double().numpy(), granularity)
    expected = np.where(rows >= 0, 1, -1) * np.abs(rows).mean(axis=1, keepdims=True)
    found = make(granularity)(weight)
    np.testing.assert_allclose(found.numpy(), expected.reshape(WEIGHT_SHAPE), rtol=1e-5)


@pytest.mark.parametrize("granularity", ["tensor", "channel", 2])
def test_weight_gradient_is_that_of_section_3_1(weight, granularity):
    weight.requires_grad_()
    grad = torch.randn(WEIGHT_SHAPE, generator=torch.Generator().manual_seed(2))
    make(granularity)(weight).backward(grad)
    rows, g = rows_of(weight.detach().double().numpy(), granularity), rows_of(grad.double().numpy(), granularity)
    scale = np.abs(rows).mean(axis=1, keepdims=True)
    expected = g * (1 / rows.shape[1] + scale * (np.abs(rows) <= 1))
    np.testing.assert_allclose(weight.grad.numpy(), expected.reshape(WEIGHT_SHAPE), rtol=1e-5, atol=1e-7)


def test_sign_of_zero_is_plus_one():
    weight = torch.tensor([[0.0], [-0.0], [-1.0], [3.0]])
    assert make()(weight).flatten().tolist() == [1, 1, -1, 1]


def test_scale_follows_the_weight_until_frozen(weight):
    quantizer = make()
    quantizer(weight)
    assert quantizer(3 * weight).abs().max() == pytest.approx(float(3 * weight.abs().mean()), rel=1e-5)
    quantizer.set_frozen(True)
    assert quantizer(weight).abs().max() == pytest.approx(float(3 * weight.abs().mean()), rel=1e-5)


def test_signed_activations():
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(3), requires_grad=True)
    quantizer = make(role=Role.ACTIVATION)
    out = quantizer(x)
    scale = x.detach().abs().mean()
    torch.testing.assert_close(out, torch.where(x >= 0, scale, -scale))
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(4))
    out.backward(grad)
    torch.testing.assert_close(x.grad, scale * grad * (x.detach().abs() <= 1))
    assert isinstance(quantizer.grid(), IntervalGrid) and quantizer.grid().exact


def test_activations_keep_their_scale_after_the_warm_up():
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(3))
    quantizer = make(role=Role.ACTIVATION, warmup_batches=2)
    quantizer(x), quantizer(3 * x), quantizer(100 * x)
    assert float(quantizer.scale) == pytest.approx(float(2 * x.abs().mean()), rel=1e-5)


def test_activations_without_negative_values_use_zero_and_the_scale():
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(3)).relu().requires_grad_()
    quantizer = make(role=Role.ACTIVATION)
    out = quantizer(x)
    values = x.detach().double().numpy()
    scale = (values**2).sum() / values.sum()
    np.testing.assert_allclose(out.detach().numpy(), np.where(values >= scale / 2, scale, 0), rtol=1e-5)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), values <= scale, atol=1e-6)
    assert isinstance(quantizer.grid(), IntegerGrid) and quantizer.grid().exact


@pytest.mark.parametrize("scale", [0.1, 7.0])
def test_two_valued_data_are_kept(scale):
    x = (torch.rand(2, 4, 5, 5, generator=torch.Generator().manual_seed(5)) > 0.8).float() * scale
    torch.testing.assert_close(make(role=Role.ACTIVATION)(x), x)
    torch.testing.assert_close(make()(2 * x - scale), 2 * x - scale)


def test_nan_is_not_hidden():
    quantizer = make(role=Role.ACTIVATION)
    quantizer(torch.randn(2, 4, 3, 3))
    assert quantizer(torch.tensor([float("nan"), 1.0])).isnan().tolist() == [True, False]


def test_classes():
    assert type(make()) is XNORWeight and type(make(role=Role.ACTIVATION)) is XNORActivation
    with pytest.raises(ValueError, match="1 to 1 bits, not 2"):
        make().set_bits(2)
