"""The average against its closed form; swaps that survive errors; checkpoints that go on bit-identically."""

import math
from pathlib import Path

import pytest
import torch
from detectron2.projects.yolo.training import EMACheckpointer, EMAHook, ModelEMA, ramped_decay
from torch import nn

from detectron2.engine import SimpleTrainer
from detectron2.engine.hooks import PeriodicCheckpointer


class Toy(nn.Module):
    """A regression with batch norm; a shared weight, an integer and a scalar buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 4)
        self.again = nn.Linear(4, 4)
        self.again.weight = self.last.weight
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps += 1
        return self.again(self.last(self.norm(self.first(data)))).square().mean()


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def assert_differ(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert not all(torch.equal(value, second[name]) for name, value in first.items())


def test_ramp() -> None:
    assert ramped_decay(0.9999, 2000, 0) == 0
    assert ramped_decay(0.9999, 2000, 2000) == pytest.approx(0.9999 * (1 - 1 / math.e), rel=1e-12)
    assert ramped_decay(0.9998, 0, 1) == 0.9998


@pytest.mark.parametrize("tau", [0.0, 5.0])
def test_closed_form(tau: float) -> None:
    model = nn.Linear(1, 1, bias=False).double()
    values = [3.0, -1.0, 2.0, 7.0, 0.5]
    with torch.no_grad():
        model.weight.fill_(values[0])
    ema = ModelEMA(model, 0.9, tau)
    for value in values[1:]:
        with torch.no_grad():
            model.weight.fill_(value)
        ema.update()
    decays = [0.9 * (1 - math.exp(-t / tau)) if tau else 0.9 for t in range(1, 5)]
    weights = [math.prod(decays)] + [(1 - decays[k]) * math.prod(decays[k + 1 :]) for k in range(4)]
    assert sum(weights) == pytest.approx(1)
    expected = sum(w * v for w, v in zip(weights, values, strict=True))
    assert ema.average["weight"].item() == pytest.approx(expected, rel=1e-12)


def test_integers_are_those_of_the_model_and_buffers_are_averaged() -> None:
    torch.manual_seed(0)
    model = Toy()
    ema = ModelEMA(model, 0.5, 0)
    model(torch.randn(8, 3))
    mean = model.norm.running_mean.clone()
    ema.update()
    assert ema.average["steps"] == 1 and ema.average["norm.num_batches_tracked"] == 1
    torch.testing.assert_close(ema.average["norm.running_mean"], mean / 2)


def test_the_swap_is_undone_after_an_error_and_may_be_nested() -> None:
    torch.manual_seed(0)
    model = Toy()
    ema = ModelEMA(model, 0.5, 0)
    parameters = list(model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    ema.update()
    own, average = state_of(model), {k: v.clone() for k, v in ema.average.items()}
    assert_differ(own, average)
    with pytest.raises(KeyboardInterrupt), ema.applied():
        assert_same(state_of(model), average)
        with ema.applied():
            assert_same(state_of(model), average)
        assert_same(state_of(model), average)
        assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
        with pytest.raises(RuntimeError, match="while the model holds it"):
            ema.update()
        raise KeyboardInterrupt
    assert_same(state_of(model), own)
    assert not ema.swapped
    assert_same(ema.average, average)


def test_weights_that_come_and_go() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    ema = ModelEMA(model, 0.5, 0)
    model.append(nn.Linear(2, 3))
    ema.update()
    assert ema.average.keys() == model.state_dict().keys()
    assert torch.equal(ema.average["1.weight"], model[1].weight)
    model[1] = nn.Linear(2, 5)
    ema.update()
    assert torch.equal(ema.average["1.weight"], model[1].weight)
    del model[1]
    ema.update()
    assert ema.average.keys() == model.state_dict().keys()


@pytest.mark.parametrize("settings", [{"decay": 1.0}, {"decay": -0.1}, {"tau": -1.0}])
def test_refusals(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"EMA.{next(iter(settings)).upper()}"):
        ModelEMA(nn.Linear(1, 1), **settings)


class Batches:
    """Seeded batches, by number."""

    def __init__(self) -> None:
        self.start = 0

    def __iter__(self):
        while True:
            self.start += 1
            yield torch.randn(8, 3, generator=torch.Generator().manual_seed(self.start))


def trainer_of(folder: Path) -> tuple[SimpleTrainer, EMAHook, EMACheckpointer]:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    model = Toy()
    trainer = SimpleTrainer(model, Batches(), torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    ema = ModelEMA(model, 0.9, 10)
    hook = EMAHook(ema)
    checkpointer = EMACheckpointer(model, str(folder), ema=ema, trainer=trainer)
    trainer.register_hooks([hook, PeriodicCheckpointer(checkpointer, 4)])
    return trainer, hook, checkpointer


def test_a_resumed_training_is_bit_identical(tmp_path: Path) -> None:
    whole, whole_hook, _ = trainer_of(tmp_path / "whole")
    whole.train(0, 8)

    first, _, _ = trainer_of(tmp_path / "parts")
    first.train(0, 4)
    second, hook, checkpointer = trainer_of(tmp_path / "parts")
    checkpointer.resume_or_load("", resume=True)
    assert second.iter == 3 and hook.ema.updates == 4
    assert_same(state_of(second.model), state_of(first.model))
    second.data_loader.start = 4
    second.train(4, 8)

    assert_same(state_of(second.model), state_of(whole.model))
    assert_same(hook.ema.average, whole_hook.ema.average)
    assert_differ(hook.ema.average, state_of(second.model))


def test_checkpoints_hold_the_average_as_their_model(tmp_path: Path) -> None:
    trainer, hook, _ = trainer_of(tmp_path)
    trainer.train(0, 4)
    data = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert_same(data["model"], hook.ema.average)
    assert_differ(data["model"], state_of(trainer.model))
    with hook.evaluation():
        assert_same(data["model"], state_of(trainer.model))


def test_checkpoints_of_others_bring_the_average_back(tmp_path: Path) -> None:
    trainer, hook, _ = trainer_of(tmp_path)
    trainer.train(0, 4)
    own, average = state_of(trainer.model), {k: v.clone() for k, v in hook.ema.average.items()}
    state = trainer.state_dict()
    other, other_hook, _ = trainer_of(tmp_path / "other")
    other.model.load_state_dict(own)
    other.load_state_dict(state)
    assert_same(state_of(other.model), own)
    assert_same(other_hook.ema.average, average)


def test_loaded_weights_are_the_start_of_the_average(tmp_path: Path) -> None:
    trainer, hook, _ = trainer_of(tmp_path)
    with torch.no_grad():
        trainer.model.first.weight.fill_(5.0)
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    trainer.train(0, 1)
    assert (hook.ema.average["first.weight"] == 5.0).all()
