import pytest
import torch
from torch import nn

from third_party.quantization.modules.conv import QuantConv2d
from third_party.quantization.modules.options import LayerOptions
from third_party.quantization.spec import LQNetSpec, LSQSpec
from third_party.quantization.training.dampening import dampening_loss
from third_party.quantization.training.layers import quantized_weights

from .models import OneWeight, holder


def test_value_by_hand():
    weight = torch.tensor([0.25, -1.4, 9.0, -20.0, 7.0])
    net = holder(a=OneWeight(weight), b=OneWeight(torch.tensor([0.3]), step=0.5))
    expected = 0.25**2 + 0.4**2 + 0.2**2  # 9 and -20 lie beyond the levels -8 to 7
    assert torch.allclose(dampening_loss(quantized_weights(net)), torch.tensor(expected))


@pytest.mark.parametrize("grid", ["integer", "interval"])
def test_gradient_against_finite_differences(grid):
    torch.manual_seed(0)
    spec = LSQSpec(bits=3, grid=grid, granularity="channel")
    layer = OneWeight(torch.randn(2, 6) * 2, spec, torch.tensor([0.6, 0.9]))
    weights = quantized_weights(holder(layer=layer))
    dampening_loss(weights).backward()
    assert layer.weight_quantizer.scale.grad is None
    start, width = layer.weight.detach().clone(), 1e-3
    levels = layer().detach()
    for index in range(start.numel()):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                layer.weight.copy_(start).view(-1)[index] += sign * width
            assert torch.equal(layer().detach(), levels), "the seed must keep weights off the thresholds"
            values.append(dampening_loss(weights).double())
        slope = (values[0] - values[1]) / (2 * width)
        assert torch.allclose(layer.weight.grad.view(-1)[index].double(), slope, atol=2e-3)
    assert bool((layer.weight.grad == 0).any()), "the seed must put a weight beyond the levels"


def test_descent_brings_weights_to_their_levels():
    torch.manual_seed(0)
    layer = OneWeight(torch.rand(20) * 10 - 5)
    weights = quantized_weights(holder(layer=layer))
    levels = layer().detach()
    for _ in range(50):
        layer.weight.grad = None
        dampening_loss(weights).backward()
        with torch.no_grad():
            layer.weight -= 0.1 * layer.weight.grad
    assert torch.allclose(layer.weight, levels, atol=1e-3) and torch.equal(layer(), levels)


@pytest.mark.parametrize("options", [LayerOptions(standardize=True), LayerOptions(batch_norm="fold")])
def test_of_what_the_quantizer_is_given(options):
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3)
    conv.norm = nn.BatchNorm2d(3)
    conv.norm.running_var.fill_(4.0)
    layer = QuantConv2d.from_float(conv, LSQSpec(bits=4), None, options)
    given = []
    layer.weight_quantizer.register_forward_pre_hook(lambda _, args: given.append(args[0].detach()))
    layer.eval()(torch.randn(1, 2, 4, 4))
    error = given[0] - layer.weight_quantizer(given[0]).detach()
    step = layer.weight_quantizer.scale.detach()
    inside = (given[0] >= -8 * step) & (given[0] <= 7 * step)
    loss = dampening_loss(quantized_weights(holder(layer=layer)))
    assert torch.allclose(loss, error[inside].square().sum(), rtol=1e-4)
    loss.backward()
    assert layer.weight.grad.abs().sum() > 0


def test_nothing_to_dampen_is_zero():
    net = holder(a=OneWeight(torch.randn(3)))
    net.a.weight_quantizer.set_enabled(False)
    assert dampening_loss(quantized_weights(net)) == 0
    conv = QuantConv2d.from_float(nn.Conv2d(2, 3, 3), LQNetSpec(bits=2), None)
    conv(torch.randn(1, 2, 4, 4))
    assert dampening_loss(quantized_weights(holder(a=conv))) == 0
