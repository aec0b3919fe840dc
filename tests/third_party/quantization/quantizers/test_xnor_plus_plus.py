"""XNOR-Net++: signs times a scale that gradients move."""

import pytest
import torch

from third_party.quantization.quantizers.registry import build_quantizer
from third_party.quantization.spec import Role, XNORPlusPlusSpec


def run(role, granularity, x, grad):
    quantizer = build_quantizer(XNORPlusPlusSpec(granularity=granularity), role, 4, 1)
    x = x.clone().requires_grad_()
    out = quantizer(x)
    out.backward(grad)
    return quantizer, out.detach(), x.grad


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("granularity", ["tensor", "channel", 2])
def test_values_and_gradients(role, granularity):
    generator = torch.Generator().manual_seed(0)
    x, grad = torch.randn(2, 3, 4, 5, 5, generator=generator).unbind(0)
    quantizer, out, grad_x = run(role, granularity, x, grad)
    groups = {"tensor": 1, "channel": 4}.get(granularity, granularity)
    for rows, g, found, found_grad, scale, grad_scale in zip(
        *(t.movedim(1, 0).reshape(groups, -1) for t in (x, grad, out, grad_x)),
        quantizer.scale.detach().view(-1),
        quantizer.scale.grad.view(-1),
        strict=True,
    ):
        signs = torch.where(rows >= 0, 1.0, -1.0)
        torch.testing.assert_close(scale, rows.abs().mean())
        torch.testing.assert_close(found, signs * scale)
        torch.testing.assert_close(found_grad, scale * g * (rows.abs() <= 1))
        torch.testing.assert_close(grad_scale, (g * signs).sum())


def test_scale_stays_where_training_puts_it():
    quantizer = build_quantizer(XNORPlusPlusSpec(), Role.WEIGHT)
    weight = torch.tensor([0.5, -2.0, 1.0])
    quantizer(weight)
    quantizer.scale.data.fill_(3.0)
    assert quantizer(weight).tolist() == [3, -3, 3]


def test_negative_scale_comes_back():
    quantizer = build_quantizer(XNORPlusPlusSpec(), Role.WEIGHT)
    weight = torch.tensor([0.5, -2.0, 1.0])
    quantizer(weight)
    quantizer.scale.data.fill_(-1.0)
    out = quantizer(weight)
    assert (out.sign() == weight.sign()).all()
    (out * -weight.sign()).sum().backward()
    assert float(quantizer.scale.grad) == -3


def test_gradient_of_the_scale_without_negative_values():
    x = torch.tensor([0.0, 0.1, 1.0, 1.2])
    quantizer = build_quantizer(XNORPlusPlusSpec(), Role.ACTIVATION)
    quantizer(x).backward(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    assert float(quantizer.scale.grad) == 12
