import pytest
import torch

from third_party.quantization.spec import ProgressiveConfig, Role
from third_party.quantization.training.progressive import progressive_steps
from third_party.quantization.training.schedule import Schedule

from .models import OneWeight, holder, quantized_net


def widths(net):
    return {name: m.bits for name, m in net.named_modules() if hasattr(m, "batches_seen")}


@pytest.mark.parametrize(
    "start, end, steps, expected",
    [
        (8, 4, (2, 4), {0: 8, 2: 6, 4: 4}),
        (8, 4, (1, 2, 3, 5), {0: 8, 1: 7, 2: 6, 3: 5, 4: 5, 5: 4}),
        (5, 4, (1, 2, 3), {0: 5, 1: 5, 2: 4, 3: 4}),
    ],
)
def test_width_goes_from_start_to_end(start, end, steps, expected):
    net = quantized_net(bits=4, last_bits=8)
    config = ProgressiveConfig(enabled=True, start_bits=start, end_bits=end, steps=steps)
    schedule = Schedule(net, progressive_steps(net, config))
    for iteration, bits in expected.items():
        schedule.before_step(iteration)
        found = widths(net)
        assert {b for name, b in found.items() if name.startswith("conv")} == {bits}
        assert {b for name, b in found.items() if name.startswith("fc")} == {8}, "layers of another width keep it"


def test_only_what_is_named_changes():
    net = quantized_net(bits=4)
    config = ProgressiveConfig(enabled=True, steps=(3,), name="conv2", role=Role.WEIGHT)
    steps = progressive_steps(net, config, reset_momentum=False)
    assert {(s.iteration, s.name, s.role, s.action.bits, s.action.reset_momentum) for s in steps} == {
        (0, "conv2", Role.WEIGHT, 8, False),
        (3, "conv2", Role.WEIGHT, 4, False),
    }
    assert progressive_steps(net, ProgressiveConfig()) == []


def test_a_model_that_is_one_layer():
    layer = OneWeight(torch.randn(2, 2))
    schedule = Schedule(layer, progressive_steps(layer, ProgressiveConfig(enabled=True, steps=(1,), name="*")))
    schedule.before_step(0)
    assert layer.weight_quantizer.bits == 8
    schedule.before_step(1)
    assert layer.weight_quantizer.bits == 4


def test_mistakes_are_named():
    net = holder(layer=OneWeight(torch.randn(2, 2)))
    with pytest.raises(ValueError, match=r"end_bits 3.*\[4\] bits"):
        progressive_steps(net, ProgressiveConfig(enabled=True, end_bits=3, steps=(1,)))
    with pytest.raises(ValueError, match="no quantizer is named.*layer"):
        progressive_steps(net, ProgressiveConfig(enabled=True, steps=(1,), name="leyer"))
