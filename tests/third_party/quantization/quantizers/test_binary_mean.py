"""Binary weights around their mean, against numpy."""

import numpy as np
import pytest
import torch

from third_party.quantization.quantizers.registry import build_quantizer
from third_party.quantization.spec import BinaryMeanSpec, Role

SHAPE = (4, 3, 3, 3)


@pytest.mark.parametrize(("granularity", "groups"), [("tensor", 1), ("channel", 4), (2, 2)])
def test_values_and_gradient(granularity, groups):
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(SHAPE, generator=generator) + 0.7).requires_grad_()
    grad = torch.randn(SHAPE, generator=generator)
    quantizer = build_quantizer(BinaryMeanSpec(granularity=granularity), Role.WEIGHT, 4)
    out = quantizer(weight)
    out.backward(grad)
    rows = weight.detach().double().numpy().reshape(groups, -1)
    centred = rows - rows.mean(axis=1, keepdims=True)
    scale = np.abs(centred).mean(axis=1, keepdims=True)
    expected = np.where(centred >= 0, scale, -scale)
    np.testing.assert_allclose(out.detach().numpy(), expected.reshape(SHAPE), rtol=1e-5)
    h = scale * grad.double().numpy().reshape(groups, -1) * (np.abs(centred) <= 1)
    np.testing.assert_allclose(weight.grad.numpy().reshape(groups, -1), h - h.mean(axis=1, keepdims=True), atol=1e-6)


def test_a_common_offset_of_the_weights_changes_nothing():
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    quantizer = build_quantizer(BinaryMeanSpec(), Role.WEIGHT)
    torch.testing.assert_close(quantizer(weight), quantizer(weight + 8), rtol=1e-4, atol=1e-4)


def test_integers_belong_to_the_grid():
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)) + 0.5
    quantizer = build_quantizer(BinaryMeanSpec(granularity="channel"), Role.WEIGHT, 4)
    out = quantizer(weight)
    assert quantizer.grid().exact
    assert torch.equal(quantizer.grid().values(quantizer.integers(weight)), out)
    assert not torch.equal(quantizer.grid().codes(weight), quantizer.integers(weight))
