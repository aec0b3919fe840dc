import copy
import io

import pytest
import torch

from third_party.quantization.spec import (
    Calibrate,
    DistillationConfig,
    Freeze,
    OscillationConfig,
    ProgressiveConfig,
    ProxConfig,
    QuantConfig,
    QuantizationLossConfig,
    Role,
    SetBits,
    SetEnabled,
    Step,
    TrainingConfig,
)
from third_party.quantization.training import QuantTraining

from .models import float_net, image_batch, quantized_net

EVERYTHING = QuantConfig(
    schedule=(Step(7, Calibrate(3), name="conv1"), Step(11, Freeze(), name="fc", role=Role.WEIGHT)),
    training=TrainingConfig(
        ema_decay=0.8,
        correction=True,
        oscillation=OscillationConfig(dampening=1e-3, freeze_threshold=0.1, momentum=0.2),
        quantization_loss=QuantizationLossConfig(weight=0.1),
        distillation=DistillationConfig(weight=0.5, names=("conv*", "fc")),
        prox=ProxConfig(enabled=True, start=3, end=100),
        progressive=ProgressiveConfig(enabled=True, start_bits=6, end_bits=4, steps=(3, 6)),
    ),
)


class Run:
    """A training whose parts can be saved and loaded."""

    def __init__(self, config=EVERYTHING, seed=0, optimizer_type=torch.optim.SGD):
        self.model = quantized_net(seed=seed)
        settings = {"momentum": 0.9} if optimizer_type is torch.optim.SGD else {}
        self.optimizer = optimizer_type(self.model.parameters(), lr=0.05, **settings)
        torch.manual_seed(5)
        self.training = QuantTraining(self.model, config, self.optimizer, float_net())

    def go(self, start, end):
        for iteration in range(start, end):
            self.training.before_step(iteration)
            self.optimizer.zero_grad()
            loss = self.model(image_batch(iteration)).square().sum()
            (loss + sum(self.training.extra_losses().values())).backward()
            self.optimizer.step()
            self.training.after_step(iteration)
        return self

    def save(self):
        parts = [part.state_dict() for part in (self.model, self.optimizer, self.training)]
        file = io.BytesIO()
        torch.save(parts, file)
        return file.getvalue()

    def load(self, saved):
        # weights_only: nothing but tensors and plain values may be in a checkpoint.
        parts = torch.load(io.BytesIO(saved), weights_only=True)
        for part, state in zip((self.model, self.optimizer, self.training), parts, strict=True):
            part.load_state_dict(state)
        return self


def flat(value, prefix=""):
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, entry in items for k, v in flat(entry, f"{prefix}.{key}").items()}
    return {prefix: value}


def assert_same(a, b):
    one, other = flat(a), flat(b)
    assert one.keys() == other.keys()
    for name, value in one.items():
        same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        assert same, name


@pytest.mark.parametrize("optimizer_type", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("stop", [2, 6, 8, 10, 13])
def test_a_resumed_run_continues_bit_for_bit(stop, optimizer_type):
    whole = Run(optimizer_type=optimizer_type).go(0, 15)
    assert 0 < whole.training.resources()["frozen"] < 1, "the run must reach the freezing of weights"
    saved = Run(optimizer_type=optimizer_type).go(0, stop).save()
    resumed = Run(seed=1, optimizer_type=optimizer_type).load(saved).go(stop, 15)
    for part in ("model", "optimizer", "training"):
        assert_same(getattr(whole, part).state_dict(), getattr(resumed, part).state_dict())
    with whole.training.evaluation(), resumed.training.evaluation():
        x = image_batch(99)
        assert torch.equal(whole.model.eval()(x), resumed.model.eval()(x))


def test_without_settings_training_is_as_it_would_be():
    plain = Run(QuantConfig()).go(0, 3)
    assert plain.training.extra_losses() == {} and set(plain.training.state_dict()) == {"schedule"}
    model = quantized_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for iteration in range(3):
        optimizer.zero_grad()
        model(image_batch(iteration)).square().sum().backward()
        optimizer.step()
    assert_same(model.state_dict(), plain.model.state_dict())
    with plain.training.evaluation():
        assert_same(model.state_dict(), plain.model.state_dict())


def test_losses_are_weighted():
    runs = {}
    for factor in (1.0, 3.0):
        config = TrainingConfig(
            oscillation=OscillationConfig(dampening=0.1 * factor),
            quantization_loss=QuantizationLossConfig(weight=0.2 * factor, kind="l1"),
            distillation=DistillationConfig(weight=0.3 * factor, kind="outputs"),
        )
        run = Run(QuantConfig(training=config))
        run.model(image_batch(0))
        runs[factor] = run.training.extra_losses()
    assert set(runs[1.0]) == {"loss_dampening", "loss_quantization", "loss_distillation"}
    for name, value in runs[1.0].items():
        assert value > 0 and torch.allclose(3 * value, runs[3.0][name])


def test_evaluation_uses_averages_and_correction_and_gives_all_back():
    run = Run().go(0, 12)
    before = copy.deepcopy(run.model.state_dict())
    batches = [image_batch(50), image_batch(51)]
    with run.training.evaluation():
        averaged = copy.deepcopy(run.model.state_dict())
        assert_same(
            {k: v for k, v in averaged.items() if k in run.training.average._average},
            {k: run.training.average._average[k] for k in averaged if k in run.training.average._average},
        )
        assert not torch.equal(averaged["conv2.weight"], before["conv2.weight"])
    with pytest.raises(KeyError), run.training.evaluation(batches):
        now = run.model.state_dict()
        assert torch.equal(now["conv2.weight"], averaged["conv2.weight"])
        changed = {name for name in now if not torch.equal(now[name], averaged[name])}
        assert {"bn.running_mean", "bn.running_var"} <= changed
        assert not any("running" not in name and "tracked" not in name for name in changed)  # no teacher's biases
        corrected = copy.deepcopy(now)
        raise KeyError
    assert_same(run.model.state_dict(), before)
    run.training.finish(batches)
    assert_same(run.model.state_dict(), corrected)


def test_two_processes_of_equal_inputs_stay_equal():
    one, other = Run().go(0, 9), Run().go(0, 9)
    assert one.save() == other.save()


def test_check_looks_beyond_the_end():
    training = Run().training
    training.check(101)
    with pytest.raises(ValueError, match="prox.end.*100"):
        training.check(100)
    with pytest.raises(ValueError, match="freeze at iteration 11"):
        training.check(11)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="needs a teacher"):
        QuantTraining(quantized_net(), EVERYTHING)
    with pytest.raises(ValueError, match="'averages'.*average"):
        Run().training.load_state_dict({"averages": {}})


def test_resources():
    run = Run(QuantConfig(schedule=(Step(0, SetBits(2), "conv2"), Step(0, SetEnabled(False), "fc", Role.WEIGHT))))
    sizes = {name: run.model.get_submodule(name).weight.numel() for name in ("conv1", "conv2", "fc")}
    run.training.before_step(0)
    assert run.training.resources() == {
        "weight_bits": "2: 1, 4: 1, off: 1",
        "activation_bits": "2: 1, 4: 1, 8: 1",
        "weight_bytes": sizes["conv1"] / 2 + sizes["conv2"] / 4 + sizes["fc"] * 4,
        "weight_bytes_float": sum(sizes.values()) * 4.0,
    }


def test_close_takes_all_hooks_away():
    run = Run().go(0, 8)
    run.training.close()
    for model in (run.model, run.training.teacher):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not run.optimizer._optimizer_step_pre_hooks
