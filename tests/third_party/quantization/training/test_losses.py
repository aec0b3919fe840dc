import pytest
import torch
from torch import nn

from third_party.quantization.modules.conv import QuantConv2d
from third_party.quantization.quantizers import QUANTIZERS, build_quantizer
from third_party.quantization.spec import LQNetSpec, LSQSpec, QuantizationLossConfig, Role
from third_party.quantization.training.layers import quantized_weights
from third_party.quantization.training.losses import QUANTIZATION_LOSSES, quantization_loss

from .models import OneWeight, holder


def test_values_by_hand():
    net = holder(a=OneWeight(torch.tensor([0.25, -1.5, 3.0, 9.0])), b=OneWeight(torch.tensor([0.2]), step=0.5))
    weights = quantized_weights(net)
    # a becomes [0, -2, 3, 7], b becomes [0]
    error = torch.tensor([0.25, 0.5, 0.0, 2.0])
    assert torch.allclose(quantization_loss(weights, "l1"), (error.mean() + 0.2) / 2)
    assert torch.allclose(quantization_loss(weights, "l2"), (error.square().mean() + 0.04) / 2)
    a, q = torch.tensor([0.25, -1.5, 3.0, 9.0]), torch.tensor([0.0, -2.0, 3.0, 7.0])
    moments = (a.mean() - q.mean()) ** 2 + (a.std(correction=0) - q.std(correction=0)) ** 2
    assert torch.allclose(quantization_loss(weights, "distribution"), (moments + 0.04) / 2, rtol=1e-5)


@pytest.mark.parametrize("kind", QUANTIZATION_LOSSES)
def test_every_kind_is_known_to_the_config_and_makes_the_step_better(kind):
    QuantizationLossConfig(weight=1.0, kind=kind)
    torch.manual_seed(0)
    layer = OneWeight(torch.randn(64), LSQSpec(bits=3), step=2.0)
    layer.weight.requires_grad_(False)
    weights = quantized_weights(holder(layer=layer))
    before = quantization_loss(weights, kind).item()
    optimizer = torch.optim.Adam([layer.weight_quantizer.scale], lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        quantization_loss(weights, kind).backward()
        optimizer.step()
    assert quantization_loss(weights, kind).item() < 0.6 * before


def test_equal_weights_give_finite_gradients():
    layer = OneWeight(torch.ones(4))
    quantization_loss(quantized_weights(holder(layer=layer)), "distribution").backward()
    assert bool(layer.weight.grad.isfinite().all())


@pytest.mark.parametrize("spec_type", [spec for spec, role in QUANTIZERS if role is Role.WEIGHT])
def test_every_method_has_a_finite_loss_and_is_not_changed_by_it(spec_type):
    bits = {} if len(spec_type.supported_bits) == 1 else {"bits": 2}
    conv = QuantConv2d.from_float(nn.Conv2d(3, 4, 3), spec_type(**bits), None)
    conv(torch.randn(1, 3, 5, 5))
    before = {name: value.clone() for name, value in conv.weight_quantizer.state_dict().items()}
    loss = quantization_loss(quantized_weights(holder(a=conv)), "l2")
    assert bool(loss.isfinite()) and conv.weight_quantizer.training
    assert all(torch.equal(value, before[name]) for name, value in conv.weight_quantizer.state_dict().items())


def test_mistakes_and_nothing_to_do():
    with pytest.raises(ValueError, match="l3"):
        quantization_loss([], "l3")
    assert quantization_loss([], "l1") == 0
    layer = OneWeight(torch.randn(3))
    layer.weight_quantizer = build_quantizer(LQNetSpec(bits=2), Role.WEIGHT)
    assert quantization_loss(quantized_weights(holder(layer=layer)), "l1") == 0, "no range yet"
