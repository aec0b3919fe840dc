"""Sums and concatenations bring their branches onto one scale."""

import pytest
import torch
from torch import nn

from third_party.quantization.modules import QuantAdd, QuantConcat
from third_party.quantization.spec import LSQSpec, MinMaxSpec

from .cases import by_hand, sample


class Add(nn.Module):
    inplace = True

    def forward(self, a, b):
        return a.add_(b) if self.inplace else a + b


class Concat(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, tensors):
        return torch.cat(tensors, self.dim)


@pytest.mark.parametrize("bits", (2, 4, 8))
def test_sum_of_levels_of_one_scale(bits):
    layer = QuantAdd.from_float(Add(), None, LSQSpec(bits=bits))
    a, b = sample((2, 3, 4, 4)).requires_grad_(), sample((2, 3, 4, 4), seed=1) * 3
    before = a.detach().clone(), b.clone()
    y = layer(a, b)
    quantizer = layer.input_quantizer
    torch.testing.assert_close(y, by_hand(quantizer, a, 1) + by_hand(quantizer, b, 1))
    assert torch.equal(a, before[0]) and torch.equal(b, before[1])
    y.sum().backward()
    assert a.grad.abs().sum() > 0 and quantizer.scale.grad is not None


def test_range_comes_from_all_branches_at_once():
    layer = QuantAdd.from_float(Add(), None, MinMaxSpec(bits=8))
    small, large = torch.rand(1, 2, 3, 3), 100 * torch.rand(1, 2, 3, 3) - 50
    layer(small, large)
    quantizer = layer.input_quantizer
    assert quantizer.batches_seen == 1 and quantizer.signed
    reference = MinMaxSpec(bits=8)
    alone = QuantAdd.from_float(Add(), None, reference)
    alone(large, large)
    assert torch.equal(quantizer.scale, alone.input_quantizer.scale)


def test_warm_up_counts_batches_and_not_branches():
    layer = QuantConcat.from_float(Concat(1), None, LSQSpec(warmup_batches=3))
    for seen in (1, 2, 3, 3):
        layer([sample((1, 2, 3, 3)), sample((1, 1, 3, 3))])
        assert layer.input_quantizer.batches_seen == seen


@pytest.mark.parametrize("dim", (1, 2))
def test_concatenation(dim):
    layer = QuantConcat.from_float(Concat(dim), None, LSQSpec(bits=4))
    tensors = [sample((2, 3, 3, 4)), sample((2, 3, 3, 4), seed=1) * 2, sample((2, 3, 3, 4), seed=2)]
    y = layer(tensors)
    torch.testing.assert_close(y, torch.cat([by_hand(layer.input_quantizer, x, 1) for x in tensors], dim))


def test_empty_branches_before_any_data():
    layer = QuantAdd.from_float(Add(), None, LSQSpec())
    assert layer(torch.zeros(0, 2), torch.zeros(0, 2)).shape == (0, 2)
    assert not layer.input_quantizer.initialized


def test_one_range_for_the_tensor_is_needed():
    with pytest.raises(ValueError, match="granularity 'tensor', got 'channel'"):
        QuantAdd.from_float(Add(), None, LSQSpec(granularity="channel"))
