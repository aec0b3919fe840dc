"""Bi-Real Net: signs with the triangle-shaped derivative."""

import pytest
import torch

from third_party.quantization.quantizers.registry import build_quantizer
from third_party.quantization.spec import BiRealSpec, Role


def test_levels_are_minus_one_and_one():
    quantizer = build_quantizer(BiRealSpec(), Role.ACTIVATION)
    x = torch.tensor([-7.0, -0.1, 0.0, 0.3, 5.0])
    assert quantizer(x).tolist() == [-1, -1, 1, 1, 1]
    assert quantizer.integers(x).tolist() == [-1, -1, 1, 1, 1]
    assert quantizer.grid().levels().tolist() == [-1, 1] and quantizer.grid().exact


def test_derivative():
    quantizer = build_quantizer(BiRealSpec(), Role.ACTIVATION)
    x = torch.tensor([-1.5, -1.0, -0.75, -0.25, 0.0, 0.25, 0.75, 1.0, 1.5], requires_grad=True)
    grad = torch.arange(1.0, 10.0)
    quantizer(x).backward(grad)
    expected = [2 + 2 * v if -1 <= v < 0 else 2 - 2 * v if 0 <= v < 1 else 0 for v in x.tolist()]
    assert (x.grad / grad).tolist() == pytest.approx(expected)


def test_derivative_has_the_area_of_the_step():
    quantizer = build_quantizer(BiRealSpec(), Role.ACTIVATION)
    x = torch.linspace(-2, 2, 4001, requires_grad=True)
    quantizer(x).sum().backward()
    assert float(torch.trapezoid(x.grad, x.detach())) == pytest.approx(2.0, rel=1e-4)


def test_without_negative_values():
    quantizer = build_quantizer(BiRealSpec(), Role.ACTIVATION)
    x = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.5], requires_grad=True)
    out = quantizer(x)
    assert out.tolist() == [0, 0, 1, 1, 1]
    out.sum().backward()
    assert x.grad.tolist() == pytest.approx([0, 1, 2, 1, 0])


def test_weights_are_refused():
    with pytest.raises(ValueError, match="bireal quantizes activation only"):
        build_quantizer(BiRealSpec(), Role.WEIGHT)
