import copy

import numpy as np
import pytest
import torch

from third_party.quantization.modules.conv import QuantConv2d
from third_party.quantization.modules.options import LayerOptions
from third_party.quantization.spec import DoReFaSpec, LQNetSpec, LSQSpec
from third_party.quantization.training.layers import quantized_weights
from third_party.quantization.training.oscillation import OscillationTracker

from .models import OneWeight, holder


def tracker_of(weight, momentum=0.1, threshold=0.0, spec=None, step=1.0):
    net = holder(layer=OneWeight(weight, spec, step))
    return net.layer, OscillationTracker(quantized_weights(net), momentum, threshold)


def set_weight(layer, values):
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(values).view_as(layer.weight))


def test_only_turning_back_counts():
    layer, tracker = tracker_of(torch.zeros(4), momentum=0.1)
    sequence = {  # levels over five steps, and at which of them a weight turned back
        (0, 0, 0, 0, 0): (),
        (0, 1, 2, 3, 4): (),
        (0, 1, 0, 1, 0): (2, 3, 4),
        (0, 1, 1, 0, 2): (3, 4),  # the direction is remembered while a weight rests
    }
    for step in range(5):
        set_weight(layer, [float(levels[step]) for levels in sequence])
        tracker.update()
    expected = []
    for turns in sequence.values():
        frequency = 0.0
        for step in range(1, 5):
            frequency = 0.1 * (step in turns) + 0.9 * frequency
        expected.append(frequency)
    assert torch.allclose(tracker.tracks["layer"].frequency, torch.tensor(expected))
    assert tracker.shares() == {"oscillating": 0.5, "frozen": 0.0}


def numpy_reference(weights, step, momentum, threshold, low=-8, high=7):
    """Algorithm 1 for one weight after the other, on integers; weights is [T][N]."""
    integers = np.clip(np.round(np.asarray(weights) / step), low, high)
    out = integers.copy()
    for n in range(integers.shape[1]):
        previous, direction, frequency, mean, frozen = integers[0, n], 0, 0.0, integers[0, n], None
        for t in range(1, integers.shape[0]):
            if frozen is not None:
                out[t, n] = frozen
                continue
            change = np.sign(integers[t, n] - previous)
            frequency = momentum * float(change * direction < 0) + (1 - momentum) * frequency
            mean = momentum * integers[t, n] + (1 - momentum) * mean
            direction = change if change else direction
            previous = integers[t, n]
            if frequency > threshold:
                frozen = np.round(mean)
                out[t, n] = frozen
    return out


@pytest.mark.parametrize("momentum, threshold", [(0.3, 0.5), (0.1, 0.2)])
def test_freezing_follows_algorithm_1(momentum, threshold):
    generator = torch.Generator().manual_seed(0)
    drift = torch.randn(60, generator=generator)
    course = drift + torch.linspace(0, 0.6, 60) * torch.randn(25, 60, generator=generator).double()
    layer, tracker = tracker_of(torch.zeros(60), momentum, threshold, step=0.5)
    expected = numpy_reference(course, 0.5, momentum, threshold)
    for values, integers in zip(course, expected, strict=True):
        set_weight(layer, values.float())
        tracker.update()
        quantized = layer.weight_quantizer(layer.weight).detach()
        assert np.array_equal((quantized / 0.5).numpy(), integers)
    assert 0.1 < tracker.shares()["frozen"] < 1.0


def test_frozen_weights_follow_the_step_size_and_bits_release_them():
    layer, tracker = tracker_of(torch.tensor([0.4, 2.0]), momentum=0.5, threshold=0.4)
    for value in (0.6, 0.4, 0.6, 0.4, 0.6):
        set_weight(layer, [value, 2.0])
        tracker.update()
    track = tracker.tracks["layer"]
    assert track.frozen.tolist() == [True, False]
    level = round(layer.weight[0].item())
    assert layer.weight[0].item() == level
    with torch.no_grad():
        layer.weight_quantizer.scale.fill_(0.25)
    set_weight(layer, [1.7, 2.0])
    tracker.update()
    assert layer.weight.tolist() == [level * 0.25, 2.0]
    layer.weight_quantizer.set_bits(3)
    set_weight(layer, [0.1, 0.2])
    tracker.update()
    assert torch.allclose(layer.weight, torch.tensor([0.1, 0.2])) and not tracker.tracks["layer"].frozen.any()


def test_interval_grid_and_groups_freeze_to_levels():
    spec = LSQSpec(bits=2, grid="interval", granularity="channel")
    layer, tracker = tracker_of(torch.zeros(2, 3), 0.5, 0.3, spec, torch.tensor([1.0, 0.1]))
    scales = torch.tensor([[1.0], [0.1]])
    for sign in (1, -1, 1, -1):
        set_weight(layer, sign * 0.2 * scales.expand(2, 3))
        tracker.update()
    assert tracker.shares()["frozen"] == 1.0
    assert torch.allclose((layer.weight / scales).abs(), torch.full((2, 3), 0.5)), "half a step beside zero"
    assert torch.equal(layer(), layer.weight)


def test_uneven_levels_and_disabled_quantizers_take_no_part():
    _, tracker = tracker_of(torch.randn(4, 4), spec=LSQSpec())
    tracker.update()
    assert set(tracker.tracks) == {"layer"}
    tracker.weights[0].quantizer.set_enabled(False)
    tracker.update()
    assert not tracker.tracks and tracker.shares() == {"oscillating": 0.0, "frozen": 0.0}
    conv = QuantConv2d.from_float(torch.nn.Conv2d(2, 3, 3), LQNetSpec(bits=2), None)
    conv(torch.randn(1, 2, 4, 4))
    tracker = OscillationTracker(quantized_weights(holder(layer=conv)), 0.1)
    tracker.update()
    assert not tracker.tracks


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_goes_on_from_its_state(stop):
    course = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    whole, tracker = tracker_of(torch.zeros(5), 0.3, 0.3, step=0.5)
    for values in course:
        set_weight(whole, values)
        tracker.update()
    first, tracker = tracker_of(torch.zeros(5), 0.3, 0.3, step=0.5)
    for values in course[:stop]:
        set_weight(first, values)
        tracker.update()
    state = copy.deepcopy(tracker.state_dict())
    second, tracker = tracker_of(torch.zeros(5), 0.3, 0.3, step=0.5)
    tracker.load_state_dict(state)
    for values in course[stop:]:
        set_weight(second, values)
        tracker.update()
    assert torch.equal(second.weight, whole.weight)
    with pytest.raises(ValueError, match="'other'"):
        tracker.load_state_dict({"other": state["layer"]})


@pytest.mark.parametrize("options", [{"standardize": True}, {"batch_norm": "fold"}])
def test_weights_that_are_changed_before_quantization_cannot_be_frozen(options):
    conv = torch.nn.Conv2d(2, 3, 3)
    conv.norm = torch.nn.BatchNorm2d(3)
    weights = quantized_weights(holder(first=_quantized(conv, **options)))
    OscillationTracker(weights, 0.1)
    with pytest.raises(ValueError, match="first"):
        OscillationTracker(weights, 0.1, 0.01)
    with pytest.raises(ValueError, match="layer"):
        tracker_of(torch.randn(2, 2), 0.1, 0.01, DoReFaSpec(bits=4))


def _quantized(conv, **options):
    return QuantConv2d.from_float(conv, LSQSpec(bits=4), None, LayerOptions(**options))
