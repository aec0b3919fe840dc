import copy

import pytest
import torch
from torch import nn

from third_party.quantization.spec import LSQSpec
from third_party.quantization.training.ema import WeightAverage

from .models import OneWeight, holder, image_batch, quantized_net


def test_equals_the_closed_form():
    torch.manual_seed(0)
    decay, layer = 0.9, nn.BatchNorm2d(3)
    average = WeightAverage(layer, decay)
    history = []
    for _ in range(6):
        with torch.no_grad():
            layer.weight.copy_(torch.randn(3))
            layer.running_var.copy_(torch.rand(3))
        history.append((layer.weight.detach().clone(), layer.running_var.clone()))
        average.update()
        n = len(history)
        shares = torch.tensor([decay ** (n - 1 - i) for i in range(n)], dtype=torch.float64)
        with average.swapped():
            for index, tensor in enumerate((layer.weight, layer.running_var)):
                values = torch.stack([entry[index] for entry in history]).double()
                expected = (shares[:, None] * values).sum(0) / shares.sum()
                assert torch.allclose(tensor.double(), expected, atol=1e-6)
        assert torch.equal(layer.weight, history[-1][0])


def test_swapping_loses_nothing_even_after_an_exception():
    net = quantized_net()
    average = WeightAverage(net, 0.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for iteration in range(3):
        net(image_batch(iteration)).sum().backward()
        optimizer.step()
        average.update()
    before = copy.deepcopy(net.state_dict())
    objects = {name: id(p) for name, p in net.named_parameters()}
    with pytest.raises(KeyError), average.swapped():
        assert not torch.equal(net.conv1.weight, before["conv1.weight"])
        assert not torch.equal(net.fc.weight_quantizer.scale, before["fc.weight_quantizer.scale"])
        assert not torch.equal(net.bn.running_mean, before["bn.running_mean"])
        raise KeyError
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert objects == {name: id(p) for name, p in net.named_parameters()}


def test_before_the_first_update_the_model_is_its_own_average():
    layer = OneWeight(torch.randn(2, 2))
    before = layer.weight.detach().clone()
    with WeightAverage(layer, 0.9).swapped():
        assert torch.equal(layer.weight, before)


def test_a_step_of_other_bits_starts_anew_and_the_weight_does_not():
    layer = OneWeight(torch.ones(2, 2), LSQSpec(bits=8), step=0.01)
    net = holder(layer=layer)
    average = WeightAverage(net, 0.9)
    average.update()
    with torch.no_grad():
        layer.weight.fill_(3.0)
    layer.weight_quantizer.set_bits(4)
    coarse = layer.weight_quantizer.scale.item()
    assert coarse > 0.1
    with average.swapped():  # between the change and the next update
        assert layer.weight_quantizer.scale.item() == coarse
    average.update()
    with average.swapped():
        assert layer.weight_quantizer.scale.item() == coarse
        assert torch.allclose(layer.weight, torch.full((2, 2), (0.9 * 1 + 3) / 1.9))


def test_copy_to_model_stays():
    layer = nn.Linear(2, 1)
    average = WeightAverage(layer, 0.5)
    nn.init.constant_(layer.weight, 1.0)
    average.update()
    nn.init.constant_(layer.weight, 4.0)
    average.update()
    average.copy_to_model()
    assert torch.allclose(layer.weight, torch.full((1, 2), (0.5 * 1 + 4) / 1.5))


def test_half_precision_is_averaged_in_float32():
    layer = nn.Linear(4, 4).half()
    average = WeightAverage(layer, 0.999)
    average.update()
    assert average.state_dict()["average"]["weight"].dtype == torch.float32
    with average.swapped():
        assert layer.weight.dtype == torch.float16


def test_state_must_fit():
    average = WeightAverage(nn.Linear(2, 2), 0.9)
    average.update()
    with pytest.raises(ValueError, match="'weight'.*(2, 2).*(3, 2)"):
        WeightAverage(nn.Linear(2, 3), 0.9).load_state_dict(average.state_dict())
    with pytest.raises(ValueError, match="below 1"):
        WeightAverage(nn.Linear(2, 2), 1.0)
