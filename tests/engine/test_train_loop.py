"""The training loop and its steps."""

import itertools

import pytest
import torch
from torch import nn

from detectron2.engine.hooks import CallbackHook
from detectron2.engine.rng import get_rng_state, preserve_rng, set_rng_state
from detectron2.engine.train_loop import AMPTrainer, HookBase, SimpleTrainer, TrainerBase
from tests.engine.toy import ToyDetector, batches


def _trainer(cls=SimpleTrainer, loader=None, lr=0.05, **kwargs):
    torch.manual_seed(0)
    model = kwargs.pop("model", None) or ToyDetector()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return cls(model, loader or batches(), optimizer, **kwargs)


class _Recorder(HookBase):
    def __init__(self, name, log):
        self.name, self.log = name, log

    def _note(self, what):
        self.log.append((self.name, what, self.trainer.iter))

    def before_train(self):
        self._note("before_train")

    def after_train(self):
        self._note("after_train")

    def before_step(self):
        self._note("before_step")

    def after_backward(self):
        self._note("after_backward")

    def after_step(self):
        self._note("after_step")


def test_hooks_are_called_in_order():
    log = []
    trainer = _trainer()
    trainer.register_hooks([_Recorder("a", log), None, _Recorder("b", log)])
    trainer.train(3, 5)
    step = ["before_step", "after_backward", "after_step"]
    expected = [(n, "before_train", 3) for n in "ab"]
    expected += [(n, what, it) for it in (3, 4) for what in step for n in "ab"]
    expected += [(n, "after_train", 5) for n in "ab"]
    assert log == expected
    with pytest.raises(TypeError, match="int"):
        trainer.register_hooks([3])


def test_after_train_is_called_after_an_exception():
    log = []
    trainer = _trainer()

    def fail(trainer):
        if trainer.iter == 1:
            raise KeyError("from a hook")

    trainer.register_hooks([_Recorder("a", log), CallbackHook(before_step=fail)])
    with pytest.raises(KeyError, match="from a hook"):
        trainer.train(0, 5)
    assert log[-1] == ("a", "after_train", 1)


def test_a_hook_may_end_the_training():
    trainer = _trainer()

    def stop(trainer):
        trainer.max_iter = min(trainer.max_iter, 3)

    trainer.register_hooks([CallbackHook(after_step=stop)])
    trainer.train(0, 100)
    assert trainer.iter == 3


@pytest.mark.parametrize(
    "cls, kwargs",
    [
        (SimpleTrainer, {}),
        (SimpleTrainer, {"zero_grad_before_forward": True, "accumulation_steps": 2}),
        (SimpleTrainer, {"async_write_metrics": True}),
        (SimpleTrainer, {"gather_metric_period": 3}),
        (AMPTrainer, {"precision": torch.bfloat16}),
        (AMPTrainer, {"precision": torch.float16, "log_grad_scaler": True}),
    ],
)
def test_training_reduces_the_loss_and_logs_it(cls, kwargs):
    trainer = _trainer(cls, **kwargs)
    trainer.train(0, 60)
    history = trainer.storage.history("total_loss").values()
    assert [iteration for _, iteration in history] == [
        i for i in range(60) if (i + 1) % kwargs.get("gather_metric_period", 1) == 0
    ]
    losses = [loss for loss, _ in history]
    assert sum(losses[-5:]) < 0.2 * sum(losses[:5])
    assert {"data_time", "loss_color", "loss_red"} <= set(trainer.storage.histories())
    if kwargs.get("log_grad_scaler"):
        assert trainer.storage.latest()["[metric]/grad_scaler"][0] > 1


def test_asynchronous_metrics_equal_synchronous_ones():
    histories = []
    for asynchronous in (False, True):
        trainer = _trainer(async_write_metrics=asynchronous)
        trainer.train(0, 10)
        histories.append(trainer.storage.history("total_loss").values())
    assert histories[0] == histories[1]


@pytest.mark.parametrize("zero_first", [False, True])
def test_accumulation_equals_the_joined_batch(zero_first):
    # no batch norm and no running normalizer: both look at one forward pass
    split = _trainer(loader=batches(2), model=ToyDetector(norm=False, red=False), accumulation_steps=3)
    whole = _trainer(loader=batches(6), model=ToyDetector(norm=False, red=False), zero_grad_before_forward=zero_first)
    for trainer in (split, whole):
        trainer.train(0, 4)
    for a, b in zip(split.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert split.storage.latest()["total_loss"][0] == pytest.approx(whole.storage.latest()["total_loss"][0], rel=1e-5)


def test_a_single_tensor_is_a_loss_too():
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.x = nn.Parameter(torch.ones(1))

        def forward(self, data):
            return (self.x**2).sum()

    trainer = _trainer(model=Square(), loader=itertools.repeat(None), lr=0.01)
    trainer.train(0, 5)
    assert "total_loss" in trainer.storage.histories() and trainer.model.x < 1


def test_a_model_left_in_evaluation_mode_is_reported():
    trainer = _trainer()
    trainer.register_hooks([CallbackHook(after_step=lambda t: trainer.model.eval())])
    with pytest.raises(RuntimeError, match=r"model\.train\(\)"):
        trainer.train(0, 2)


def test_bad_arguments():
    with pytest.raises(ValueError, match="accumulation_steps"):
        _trainer(accumulation_steps=0)
    with pytest.raises(ValueError, match="float64"):
        _trainer(AMPTrainer, precision=torch.float64)
    with pytest.raises(NotImplementedError, match="run_step"):
        TrainerBase().run_step()


@pytest.mark.parametrize("cls, kwargs", [(SimpleTrainer, {}), (AMPTrainer, {"precision": torch.float16})])
def test_state_goes_through_a_safe_file(cls, kwargs, tmp_path):
    trainer = _trainer(cls, **kwargs)
    trainer.train(0, 3)
    torch.save(trainer.state_dict(), tmp_path / "state.pth")
    state = torch.load(tmp_path / "state.pth", weights_only=True)
    other = _trainer(cls, **kwargs)
    other.load_state_dict(state)
    assert other.iter == 3
    momenta = [s["momentum_buffer"] for s in other.optimizer.state.values()]
    for a, b in zip(momenta, trainer.optimizer.state.values(), strict=True):
        torch.testing.assert_close(a, b["momentum_buffer"], rtol=0, atol=0)
    if cls is AMPTrainer:
        assert other.grad_scaler.state_dict() == trainer.grad_scaler.state_dict()


def test_full_precision_state_loads_into_mixed_precision():
    trainer = _trainer()
    trainer.train(0, 1)
    _trainer(AMPTrainer, precision=torch.float16).load_state_dict(trainer.state_dict())


class _Counting(HookBase):
    def __init__(self):
        self.count = 0

    def after_step(self):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]


def test_states_of_hooks_of_one_class_are_kept_apart(caplog):
    trainer = _trainer()
    first, second = _Counting(), _Counting()
    second.count = 10
    trainer.register_hooks([first, second])
    trainer.train(0, 2)
    state = trainer.state_dict()
    assert len(state["hooks"]) == 2
    again = _trainer()
    hooks = [_Counting(), _Counting()]
    again.register_hooks(hooks)
    again.load_state_dict(state)
    assert [h.count for h in hooks] == [2, 12]
    with caplog.at_level("WARNING"):
        _trainer().load_state_dict(state)
    assert "_Counting" in caplog.text


def test_a_new_loader_takes_over():
    trainer = _trainer()
    trainer.train(0, 1)
    trainer.reset_data_loader(lambda: batches(2, seed=5))
    assert len(next(trainer._data_loader_iter)) == 2


def _draw():
    import random

    import numpy as np

    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(1).item()


def test_random_state_is_complete_and_plain(tmp_path):
    _draw()
    state = get_rng_state()
    torch.save(state, tmp_path / "rng.pth")
    expected = _draw()
    with preserve_rng():
        _draw()
    after = _draw()
    set_rng_state(torch.load(tmp_path / "rng.pth", weights_only=True))
    assert _draw() == expected
    assert _draw() == after
