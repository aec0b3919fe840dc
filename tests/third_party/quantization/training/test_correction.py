import copy

import pytest
import torch
from torch import nn

from third_party.quantization.modules.conv import QuantConv2d
from third_party.quantization.modules.options import LayerOptions
from third_party.quantization.spec import LSQSpec
from third_party.quantization.training.correction import correct, corrected

from .models import image_batch, quantized_net

BATCHES = [image_batch(i) for i in range(4)]


def trained():
    net = quantized_net(bits=3, last_bits=3)
    for batch in BATCHES:
        net(batch)
    return net


def test_batch_norms_get_the_statistics_of_the_quantized_weights():
    net = trained().eval()
    net.bn.running_mean.fill_(5.0)
    momentum, modes = net.bn.momentum, {n: m.training for n, m in net.named_modules()}
    correct(net, iter(BATCHES))
    with torch.no_grad():
        outputs = [net.conv1(batch) for batch in BATCHES]
    mean = torch.stack([y.mean((0, 2, 3)) for y in outputs]).mean(0)
    variance = torch.stack([y.var((0, 2, 3)) for y in outputs]).mean(0)
    assert torch.allclose(net.bn.running_mean, mean, atol=1e-6)
    assert torch.allclose(net.bn.running_var, variance, atol=1e-6)
    assert net.bn.momentum == momentum and modes == {n: m.training for n, m in net.named_modules()}


def test_weights_biases_and_ranges_stay():
    net = trained()
    before = copy.deepcopy(net.state_dict())
    correct(net, [batch + 0.5 for batch in BATCHES])
    changed = {n for n, value in net.state_dict().items() if not torch.equal(value, before[n])}
    assert changed == {"bn.running_mean", "bn.running_var"}
    assert net.training


def test_folded_norms_see_the_weights_they_are_folded_into():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3)
    conv.norm = nn.BatchNorm2d(4)
    layer = QuantConv2d.from_float(conv, LSQSpec(bits=8), None, LayerOptions(batch_norm="fold"))
    layer(BATCHES[0])
    layer.norm.running_mean.fill_(9.0)
    correct(nn.Sequential(layer), BATCHES)
    with torch.no_grad():
        outputs = [nn.functional.conv2d(batch, layer.weight, layer.bias) for batch in BATCHES]
    mean = torch.stack([y.mean((0, 2, 3)) for y in outputs]).mean(0)
    assert torch.allclose(layer.norm.running_mean, mean, atol=1e-4)


def test_corrected_is_for_a_time():
    net = trained()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(KeyError), corrected(net, BATCHES):
        assert not torch.equal(net.bn.running_mean, before["bn.running_mean"])
        raise KeyError
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_no_batches_is_a_mistake_and_leaves_the_model():
    net = trained()
    net.bn.momentum = 0.3
    with pytest.raises(ValueError, match="at least one batch"):
        correct(net, [])
    assert net.training and net.bn.training and net.bn.momentum == 0.3
