import pytest
import torch
from torch import nn

from third_party.quantization.modules.conv import QuantConv2d
from third_party.quantization.quantizers import Quantizer, build_quantizer
from third_party.quantization.spec import (
    Calibrate,
    Freeze,
    LSQSpec,
    ResetRange,
    Role,
    SetBits,
    SetEnabled,
    Step,
    Unfreeze,
    XNORSpec,
)
from third_party.quantization.spec.schedule import ACTIONS
from third_party.quantization.training.actions import apply_action
from third_party.quantization.training.schedule import Schedule

from .models import OneWeight, holder, image_batch, quantized_net, quantizer_of


def train_step(model, optimizer, iteration):
    optimizer.zero_grad()
    model(image_batch(iteration)).square().sum().backward()
    optimizer.step()


def run(model, steps, iterations, optimizer=None):
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    schedule = Schedule(model, steps, optimizer)
    for iteration in iterations:
        schedule.before_step(iteration)
        train_step(model, optimizer, iteration)
        schedule.after_step(iteration)
    return schedule, optimizer


def quantizers(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, Quantizer)}


def test_every_action_of_the_spec_is_carried_out():
    layer = OneWeight(torch.randn(3, 2))
    net = holder(layer=layer)
    for action_type in ACTIONS.values():
        if action_type is not Calibrate:  # has a duration and an object of its own
            assert apply_action.dispatch(action_type) is not apply_action.dispatch(object)
    with pytest.raises(TypeError, match="Calibrate"):
        Schedule(net, [])
        apply_action(Calibrate(1), None, None)


def test_enabled_is_set_by_pattern_and_role_at_its_iteration():
    net = quantized_net()
    step = Step(2, SetEnabled(False), name="conv*", role=Role.ACTIVATION)
    schedule = Schedule(net, [step])
    for iteration in (0, 1):
        schedule.before_step(iteration)
        assert all(q.enabled for q in quantizers(net).values())
    schedule.before_step(2)
    off = {name for name, q in quantizers(net).items() if not q.enabled}
    assert off == {"conv1.input_quantizer", "conv2.input_quantizer"}


@pytest.mark.parametrize("reset", [True, False])
def test_bits_change_and_the_momentum_of_these_layers_is_forgotten(reset):
    net = quantized_net()
    steps = [Step(3, SetBits(2, reset_momentum=reset), name="conv2", role=Role.WEIGHT)]
    schedule, optimizer = run(net, steps, range(3))
    names = dict(net.named_parameters())
    before = {name: optimizer.state[p]["momentum_buffer"].clone() for name, p in names.items()}
    step = quantizer_of(net, "conv2.weight_quantizer").scale.detach().clone()
    schedule.before_step(3)
    weights = quantizer_of(net, "conv2.weight_quantizer")
    assert weights.bits == 2 and quantizer_of(net, "conv1.weight_quantizer").bits == 4
    assert bool((weights.scale > 3 * step).all()), "fewer levels share the same range"
    changed = {"conv2.weight", "conv2.weight_quantizer.scale"}
    for name, parameter in names.items():
        if reset and name in changed:
            assert parameter not in optimizer.state
        else:
            assert torch.equal(optimizer.state[parameter]["momentum_buffer"], before[name])
    train_step(net, optimizer, 3)
    if reset:  # without a past the momentum is the gradient itself
        weight = names["conv2.weight"]
        assert torch.equal(optimizer.state[weight]["momentum_buffer"], weight.grad)


def test_the_same_bits_leave_the_momentum_alone():
    net = quantized_net()
    schedule, optimizer = run(net, [Step(1, SetBits(4), name="conv*")], range(1))
    count = len(optimizer.state)
    schedule.before_step(1)
    assert len(optimizer.state) == count


def test_frozen_ranges_do_not_move_and_weights_do():
    net = quantized_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
    schedule, _ = run(net, [Step(2, Freeze()), Step(5, Unfreeze(), name="conv1")], range(2), optimizer)
    ranges = {n: p.detach().clone() for n, p in net.named_parameters() if n.endswith("scale")}
    weight = net.conv1.weight.detach().clone()
    for iteration in range(2, 5):
        schedule.before_step(iteration)
        # As under a parallel wrapper, for which frozen ranges keep taking part in the gradients.
        for quantizer in quantizers(net).values():
            quantizer.scale.requires_grad_(True)
        train_step(net, optimizer, iteration)
    assert all(torch.equal(dict(net.named_parameters())[n], value) for n, value in ranges.items())
    assert not torch.equal(net.conv1.weight, weight)
    schedule.before_step(5)
    train_step(net, optimizer, 5)
    moved = {n for n, value in ranges.items() if not torch.equal(dict(net.named_parameters())[n], value)}
    assert moved == {"conv1.weight_quantizer.scale", "conv1.input_quantizer.scale"}


def first_step(x):
    """LSQ, section 2.1, for 4 signed bits; the range ends at the largest value."""
    return torch.minimum(2 * x.abs().mean() / 7**0.5, x.abs().max() / 7)


def test_a_reset_range_comes_from_the_next_batch():
    net = quantized_net()
    steps = [Step(1, Freeze()), Step(2, ResetRange(), name="conv1", role=Role.ACTIVATION)]
    schedule, optimizer = run(net, steps, range(2))
    quantizer = quantizer_of(net, "conv1.input_quantizer")
    schedule.before_step(2)
    assert not quantizer.initialized and not quantizer.frozen and quantizer.scale not in optimizer.state
    batch = image_batch(2) * 10
    net(batch)
    assert torch.allclose(quantizer.scale, first_step(batch), rtol=1e-4)
    assert not quantizer_of(net, "conv2.input_quantizer").wants_data()


def test_calibration_averages_over_its_batches_and_freezes_in_the_end():
    net = quantized_net()
    quantizer = quantizer_of(net, "conv1.input_quantizer")
    schedule, optimizer = run(net, [Step(2, Calibrate(3), name="conv*")], range(5))
    expected = torch.stack([first_step(image_batch(i)) for i in (2, 3, 4)]).mean()
    assert torch.allclose(quantizer.scale, expected, rtol=1e-5)
    frozen = {name for name, q in quantizers(net).items() if q.frozen}
    assert frozen == {f"conv{i}.{kind}_quantizer" for i in (1, 2) for kind in ("input", "weight")}
    assert not schedule.hold.observing and not quantizer._forward_pre_hooks
    before = quantizer.scale.detach().clone()
    schedule.before_step(5)
    train_step(net, optimizer, 5)
    assert torch.equal(quantizer.scale, before)


@pytest.mark.parametrize("warmup", [1, 2, 5])
def test_calibration_counts_each_batch_once(warmup):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.input_quantizer = build_quantizer(LSQSpec(warmup_batches=warmup), Role.ACTIVATION)

        def forward(self, x):
            return self.input_quantizer(x)

    net = holder(layer=Net())
    schedule = Schedule(net, [Step(0, Calibrate(4))])
    for iteration in range(4):
        schedule.before_step(iteration)
        net.layer(image_batch(iteration)).sum().backward()
        assert net.layer.input_quantizer.batches_seen == iteration + 1
        schedule.after_step(iteration)
    assert net.layer.input_quantizer.frozen


@pytest.mark.parametrize("stop", range(1, 7))
def test_steps_are_applied_once_also_after_a_resume(stop):
    """Interrupted at any iteration, training ends with the very same bits as without interruption."""
    steps = [
        Step(1, SetBits(3), name="conv*"),
        Step(2, ResetRange(), role=Role.ACTIVATION),
        Step(3, Calibrate(3), name="conv*"),
        Step(3, SetBits(2), name="conv1"),
    ]
    whole = quantized_net()
    run(whole, steps, range(8))

    first = quantized_net()
    schedule, optimizer = run(first, steps, range(stop))
    second = quantized_net(seed=1)
    second.load_state_dict(first.state_dict())
    resumed = torch.optim.SGD(second.parameters(), lr=0.01, momentum=0.9)
    resumed.load_state_dict(optimizer.state_dict())
    again = Schedule(second, steps, resumed)
    again.load_state_dict(schedule.state_dict())
    for iteration in range(stop, 8):
        again.before_step(iteration)
        again.before_step(iteration)  # a step is applied once, however often it is asked for
        train_step(second, resumed, iteration)
        again.after_step(iteration)
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name


def test_mistakes_are_named():
    net = quantized_net()
    with pytest.raises(ValueError, match=r"conv3.*names no layer.*conv"):
        Schedule(net, [Step(0, Freeze(), name="conv3")])
    with pytest.raises(ValueError, match="16.*conv1.*xnor"):
        Schedule(_xnor_net(), [Step(0, SetBits(16))])
    schedule = Schedule(net, [Step(5, Calibrate(4))])
    schedule.check(9)
    with pytest.raises(ValueError, match="calibrate at iteration 5.*8.*iteration 7"):
        schedule.check(8)
    with pytest.raises(ValueError, match="freeze at iteration 10"):
        Schedule(net, [Step(10, Freeze())]).check(10)


def _xnor_net():
    return holder(conv1=QuantConv2d.from_float(nn.Conv2d(3, 4, 3), XNORSpec(), None))


def test_close_takes_the_hooks_away():
    net = quantized_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    schedule = Schedule(net, [Step(0, Calibrate(5)), Step(0, Freeze(), name="fc")], optimizer)
    schedule.before_step(0)
    assert quantizer_of(net, "conv1.input_quantizer")._forward_pre_hooks
    schedule.close()
    assert not any(q._forward_pre_hooks for q in quantizers(net).values())
    assert not optimizer._optimizer_step_pre_hooks


def test_an_iteration_that_is_begun_again_does_not_repeat_its_steps():
    """As after a checkpoint that was written in the middle of an iteration."""
    net = quantized_net()
    steps = [Step(1, ResetRange(), role=Role.ACTIVATION), Step(2, Calibrate(2))]
    schedule, optimizer = run(net, steps, range(2))
    saved = schedule.state_dict()
    schedule = Schedule(net, steps, optimizer)
    schedule.load_state_dict(saved)
    schedule.before_step(1)
    assert all(q.initialized for q in quantizers(net).values())
    schedule.before_step(2)
    train_step(net, optimizer, 2)
    schedule.before_step(2)
    assert quantizer_of(net, "fc.input_quantizer").batches_seen == 1
