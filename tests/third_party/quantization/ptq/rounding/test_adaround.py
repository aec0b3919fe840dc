"""Learned rounding of one layer's weight."""

import numpy as np
import pytest
import torch
from torch import nn

from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.ptq.rounding.adaround import LearnedRounding, can_learn_rounding, put_weight
from third_party.quantization.ptq.weight_ranges import folded_factor
from third_party.quantization.spec import AQDSpec, DoReFaSpec, MinMaxSpec

from ..small import calibrated, images, separable


def layer_and_rounding(bits=4, **spec):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    method = AQDSpec if spec.get("grid") == "interval" else MinMaxSpec
    weight = method(bits=bits, granularity="channel", initial_range="max", **spec)
    prepare(model.eval(), QuantConfig(weight=weight, activation=None))
    layer = model[0]
    return layer, LearnedRounding(layer.weight_quantizer, layer.prepared_weight())


def neighbours(layer):
    """Both levels around each weight, from the quantizer's own list of levels."""
    levels = layer.weight_quantizer.grid().levels().double().numpy()
    weight = layer.weight.detach().double().numpy()
    below, above = np.empty_like(weight), np.empty_like(weight)
    for index in np.ndindex(*weight.shape):
        row = levels[index[0]]
        place = np.clip(np.searchsorted(row, weight[index] + 1e-7, side="right") - 1, 0, len(row) - 1)
        below[index], above[index] = row[place], row[min(place + 1, len(row) - 1)]
    return below, above


@pytest.mark.parametrize("spec", [{}, {"symmetric": False}, {"grid": "interval"}, {"narrow_range": True}])
def test_it_starts_as_the_weight_and_ends_at_a_neighbouring_level(spec):
    layer, rounding = layer_and_rounding(**spec)
    levels = layer.weight_quantizer.grid().levels()
    within = layer.weight.detach().clone()
    for channel, row in enumerate(levels):
        within[channel] = within[channel].clamp(row[0], row[-1])
    torch.testing.assert_close(rounding(layer.weight).detach(), within, rtol=1e-4, atol=1e-5)
    rounding.hard = True
    below, above = neighbours(layer)
    for value, expected in ((-9.0, below), (9.0, above)):
        rounding.choice.data.fill_(value)
        got = rounding(layer.weight).detach().double().numpy()
        span = levels.max().item()
        outside = np.abs(layer.weight.detach().numpy() - within.numpy()) > 1e-6
        assert np.abs(got - expected)[~outside].max() < 1e-5 * span


def test_the_penalty_is_that_of_the_paper():
    _, rounding = layer_and_rounding()
    v = rounding.choice.detach().double().numpy()
    h = np.clip(1.2 / (1 + np.exp(-v)) - 0.1, 0, 1)
    for beta in (2.0, 20.0):
        expected = np.mean(1 - np.abs(2 * h - 1) ** beta)
        assert rounding.penalty(beta).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("batch_norm", ["float", "fold"])
def test_rounded_weights_survive_conversion(batch_norm):
    model = calibrated(separable(), bits=3, batch_norm=batch_norm)
    model[1].set_input_scale(torch.linspace(0.1, 2, 8))
    model[1].weight_quantizer.reset_range()
    expected = []
    for layer in model:
        rounding = LearnedRounding(layer.weight_quantizer, layer.prepared_weight(folded_factor(layer)))
        rounding.hard = True
        rounding.choice.data = torch.randn_like(rounding.choice)
        wanted = rounding(layer.weight).detach()
        expected.append(layer.weight_quantizer.integers(wanted))
        put_weight(layer, wanted)
    with torch.no_grad():
        before = model(images()[0])
        convert(model)
        torch.testing.assert_close(model(images()[0]), before, rtol=1e-3, atol=1e-3)
    for layer, codes in zip(model, expected, strict=True):
        assert torch.equal(layer.weight_codes.int(), codes)


def test_methods_that_bend_the_weight_keep_nearest_rounding():
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    prepare(model, QuantConfig(weight=DoReFaSpec(bits=4), activation=None))
    assert not can_learn_rounding(model[0])
    other = nn.Sequential(nn.Conv2d(3, 4, 3))
    prepare(other, QuantConfig(weight=MinMaxSpec(bits=4), activation=None, weight_standardization=True))
    assert not can_learn_rounding(other[0])
