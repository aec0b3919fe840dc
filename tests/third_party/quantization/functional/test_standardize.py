"""Weight standardization against NumPy and its closed-form gradient."""

import numpy as np
import pytest
import torch

from third_party.quantization.functional.standardize import standardize


@pytest.mark.parametrize("shape, axis", [((4, 3, 3, 3), 0), ((4, 7), 0), ((3, 5, 2, 2), 1), ((6, 4), -1)])
def test_channels_have_zero_mean_and_unit_variance(shape, axis):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
    found = np.moveaxis(standardize(weight, axis, 1e-12).numpy(), axis, 0).reshape(shape[axis], -1)
    rows = np.moveaxis(weight.numpy(), axis, 0).reshape(shape[axis], -1)
    np.testing.assert_allclose(found, (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(found.var(1), 1, rtol=1e-9)


def test_gradient_is_the_closed_form():
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    grad = torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    eps = 0.1
    y = standardize(weight, eps=eps)
    y.backward(grad)
    g, w = grad.numpy().reshape(3, -1), weight.detach().numpy().reshape(3, -1)
    out = y.detach().numpy().reshape(3, -1)
    deviation = np.sqrt(w.var(1, keepdims=True) + eps)
    expected = (g - g.mean(1, keepdims=True) - out * (g * out).mean(1, keepdims=True)) / deviation
    np.testing.assert_allclose(weight.grad.numpy().reshape(3, -1), expected, rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradcheck(lambda v: standardize(v, eps=eps), (weight,))


def test_a_constant_channel_becomes_zero():
    weight = torch.full((2, 3), 5.0, requires_grad=True)
    y = standardize(weight)
    y.square().sum().backward()
    assert torch.equal(y, torch.zeros(2, 3)) and bool(weight.grad.isfinite().all())


def test_eps_must_be_positive():
    with pytest.raises(ValueError, match="eps"):
        standardize(torch.ones(2, 2), eps=0.0)
