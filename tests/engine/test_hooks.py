"""The hooks, each with a real training around it."""

import json
import math

import pytest
import torch
from fvcore.common.param_scheduler import LinearParamScheduler

from detectron2.engine import hooks
from detectron2.engine.train_loop import HookBase, SimpleTrainer
from detectron2.solver import LRMultiplier
from detectron2.utils.events import JSONWriter
from tests.engine.toy import ToyDetector, batches


def _trainer(model=None, lr=0.05):
    torch.manual_seed(0)
    model = model or ToyDetector()
    return SimpleTrainer(model, batches(), torch.optim.SGD(model.parameters(), lr=lr))


class _Metric(HookBase):
    """Puts given values as a metric, one an evaluation."""

    def __init__(self, values, period=1):
        self.values, self.period = list(values), period

    def after_step(self):
        if (self.trainer.iter + 1) % self.period == 0 and self.values:
            self.trainer.storage.put_scalar("bbox/AP", self.values.pop(0), smoothing_hint=False)


class _Saves:
    """Stands where a checkpointer does and writes small files."""

    def __init__(self, folder):
        from fvcore.common.checkpoint import Checkpointer

        self.checkpointer = Checkpointer(torch.nn.Linear(1, 1), str(folder))


def _checkpointer(folder):
    return _Saves(folder).checkpointer


# evaluation


@pytest.mark.parametrize(
    "period, max_iter, after_train, expected",
    [(2, 6, True, [1, 3, 6]), (2, 5, True, [1, 3, 5]), (0, 3, True, [3]), (2, 6, False, [1, 3]), (0, 3, False, [])],
)
def test_eval_hook_is_called_when_due(period, max_iter, after_train, expected):
    trainer, called = _trainer(), []

    def evaluate():
        called.append(trainer.iter)
        return {"bbox": {"AP": 10.0 * trainer.iter}, "seconds": torch.tensor(2.0)}

    trainer.register_hooks([hooks.EvalHook(period, evaluate, eval_after_train=after_train)])
    trainer.train(0, max_iter)
    assert called == expected
    if expected:
        assert trainer.storage.latest()["bbox/AP"] == (10.0 * expected[-1], expected[-1])
        assert trainer.storage.latest()["seconds"][0] == 2.0


def test_evaluation_does_not_change_the_training():
    results = []
    for period in (0, 1):
        trainer = _trainer(ToyDetector(dropout=0.5))
        trainer.register_hooks([hooks.EvalHook(period, lambda: {"x": torch.rand(3).sum()})])
        trainer.train(0, 4)
        results.append(trainer.model.state_dict())
    for name in results[0]:
        assert torch.equal(results[0][name], results[1][name])


@pytest.mark.parametrize("result, message", [({"bbox": {"AP": "high"}}, "bbox/AP"), ([1.0], "list")])
def test_eval_hook_names_what_is_no_number(result, message):
    trainer = _trainer()
    trainer.register_hooks([hooks.EvalHook(0, lambda: result)])
    with pytest.raises((ValueError, TypeError), match=message):
        trainer.train(0, 1)


# stopping early


@pytest.mark.parametrize(
    "values, mode, patience, min_delta, last",
    [
        ([1, 2, 3, 3, 3, 9], "max", 2, 0.0, 5),
        ([3, 2, 1, 1, 2, 0], "min", 2, 0.0, 5),
        ([1, 1.4, 1.8, 2.2, 2.6, 3], "max", 2, 0.5, 6),
        ([1, 1.1, 1.2, 1.3, 1.4, 1.5], "max", 3, 1.0, 4),
        ([math.nan, math.nan, 1, 2, 3, 4], "max", 3, 0.0, 6),
        ([math.nan] * 6, "max", 3, 0.0, 3),
    ],
)
def test_early_stopping(values, mode, patience, min_delta, last, tmp_path):
    trainer = _trainer()
    trainer.register_hooks(
        [
            _Metric(values),
            hooks.EarlyStoppingHook("bbox/AP", mode, patience, min_delta),
            hooks.PeriodicCheckpointer(_checkpointer(tmp_path), 100),
        ]
    )
    trainer.train(0, 6)
    assert trainer.iter == last
    # the last iteration, whichever it came to be, has the final checkpoint
    assert torch.load(tmp_path / "model_final.pth", weights_only=True)["iteration"] == last - 1


def test_early_stopping_remembers_across_a_resume():
    first = _trainer()
    hook = hooks.EarlyStoppingHook("bbox/AP", patience=2)
    first.register_hooks([_Metric([5, 4]), hook])
    first.train(0, 2)
    second = _trainer()
    again = hooks.EarlyStoppingHook("bbox/AP", patience=2)
    second.register_hooks([_Metric([4.5, 9]), again])
    again.load_state_dict(hook.state_dict())
    second.train(2, 10)
    assert second.iter == 3
    third = _trainer()
    ended = hooks.EarlyStoppingHook("bbox/AP", patience=2)
    third.register_hooks([ended])
    ended.load_state_dict(again.state_dict())
    third.train(3, 10)
    assert third.iter == 3


@pytest.mark.parametrize("kwargs", [{"mode": "best"}, {"patience": 0}, {"min_delta": -1.0}, {"period": 0}])
def test_early_stopping_arguments(kwargs):
    with pytest.raises(ValueError):
        hooks.EarlyStoppingHook("bbox/AP", **kwargs)


# checkpoints


def test_best_checkpointer_keeps_the_best_and_the_newest(tmp_path):
    trainer, saver = _trainer(), _checkpointer(tmp_path)
    best = hooks.BestCheckpointer(1, saver, "bbox/AP")
    trainer.register_hooks([hooks.PeriodicCheckpointer(saver, 1), _Metric([1.0, math.nan, 7.0, 6.0]), best])
    trainer.train(0, 4)
    assert (best.best_metric, best.best_iter) == (7.0, 2)
    assert torch.load(tmp_path / "model_best.pth", weights_only=True)["iteration"] == 2
    assert saver.get_checkpoint_file().endswith("model_final.pth")
    again = hooks.BestCheckpointer(1, saver, "bbox/AP")
    again.load_state_dict(best.state_dict())
    assert (again.best_metric, again.best_iter) == (7.0, 2)


def test_best_checkpointer_without_its_metric(tmp_path, caplog):
    trainer = _trainer()
    trainer.register_hooks([hooks.BestCheckpointer(1, _checkpointer(tmp_path), "bbox/APx", "min", "lowest")])
    with caplog.at_level("WARNING"):
        trainer.train(0, 2)
    assert "bbox/APx" in caplog.text and not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="best"):
        hooks.BestCheckpointer(1, _checkpointer(tmp_path), "x", "best")


# schedule, writers, timer


def test_lr_scheduler_steps_and_logs():
    trainer = _trainer(lr=2.0)
    trainer.register_hooks([hooks.LRScheduler(scheduler=LinearParamScheduler(1.0, 0.0))])
    trainer.train(0, 4)
    assert [v for v, _ in trainer.storage.history("lr").values()] == pytest.approx([2.0, 1.5, 1.0, 0.5])


def test_lr_scheduler_uses_the_trainers_and_keeps_its_state():
    trainer = _trainer(lr=2.0)
    trainer.scheduler = LRMultiplier(trainer.optimizer, LinearParamScheduler(1.0, 0.0), 4)
    hook = hooks.LRScheduler()
    trainer.register_hooks([hook])
    trainer.train(0, 3)
    other = _trainer(lr=2.0)
    other.scheduler = LRMultiplier(other.optimizer, LinearParamScheduler(1.0, 0.0), 4)
    again = hooks.LRScheduler()
    other.register_hooks([again])
    other.load_state_dict(trainer.state_dict())
    assert other.scheduler.last_epoch == 3 and other.optimizer.param_groups[0]["lr"] == 0.5


def test_the_logged_group_is_the_largest():
    a, b, c = (torch.nn.Parameter(torch.zeros(1)) for _ in range(3))
    pick = hooks.LRScheduler.get_best_param_group_id
    assert pick(torch.optim.SGD([{"params": [a], "lr": 1}, {"params": [b, c], "lr": 2}], lr=0.1)) == 1
    single = [{"params": [a], "lr": 1.0}, {"params": [b], "lr": 2.0}, {"params": [c], "lr": 2.0}]
    assert pick(torch.optim.SGD(single, lr=0.1)) == 1


def test_writer_writes_periodically_and_at_the_end(tmp_path):
    trainer, path = _trainer(), tmp_path / "metrics.json"
    late = hooks.CallbackHook(after_train=lambda t: t.storage.put_scalar("late", 1.0))
    trainer.register_hooks([late, hooks.PeriodicWriter([JSONWriter(str(path))], period=2)])
    trainer.train(0, 5)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    with_loss = [r["iteration"] for r in records if "total_loss" in r]
    assert with_loss == [1, 3, 4] and any("late" in r for r in records)
    with pytest.raises(TypeError, match="str"):
        hooks.PeriodicWriter(["a"])


def test_iteration_timer_logs_time_after_warm_up(caplog):
    trainer = _trainer()
    trainer.register_hooks([hooks.IterationTimer(warmup_iter=2)])
    with caplog.at_level("INFO"):
        trainer.train(0, 6)
    assert [i for _, i in trainer.storage.history("time").values()] == [2, 3, 4, 5]
    assert "4 iterations in" in caplog.text


# the model's own state


def _snapshot(model):
    return {k: v.clone() for k, v in model.state_dict().items()}, model.training_state()


def test_validation_loss_leaves_no_trace():
    results = []
    for period in (0, 2):
        model = ToyDetector(dropout=0.5)
        trainer = _trainer(model)
        if period:

            def build():
                stream = batches(2, seed=9)
                return [next(stream) for _ in range(3)]

            trainer.register_hooks([hooks.ValidationLossHook(period, build, model)])
        trainer.train(0, 6)
        results.append(_snapshot(model))
    assert [i for _, i in trainer.storage.history("validation_loss").values()] == [1, 3, 5]
    for name in results[0][0]:
        assert torch.equal(results[0][0][name], results[1][0][name]), name
    assert results[0][1] == results[1][1]
    latest = {k: v for k, (v, _) in trainer.storage.latest().items()}
    parts = latest["validation_loss/loss_color"] + latest["validation_loss/loss_red"]
    assert latest["validation_loss"] == pytest.approx(parts) and parts > 0


@pytest.mark.parametrize("max_iter, used", [(0, 3), (2, 2), (9, 3)])
def test_validation_loss_reads_as_many_batches_as_asked(max_iter, used):
    read = []

    class Loader:
        def __len__(self):
            return 3

        def __iter__(self):
            for index, batch in zip(range(3), batches(2), strict=False):
                read.append(index)
                yield batch

    model = ToyDetector()
    trainer = _trainer(model)
    trainer.register_hooks([hooks.ValidationLossHook(0, Loader, model, max_iter)])
    trainer.train(0, 1)
    # one more may have been fetched to see that it is too many
    assert used <= len(read) <= used + 1 and "validation_loss" in trainer.storage.histories()


def test_validation_loss_without_data(caplog):
    model = ToyDetector()
    trainer = _trainer(model)
    trainer.register_hooks([hooks.ValidationLossHook(1, list, model)])
    with caplog.at_level("WARNING"):
        trainer.train(0, 1)
    assert "no batch" in caplog.text


def test_precise_bn_computes_the_statistics_of_the_data():
    model = ToyDetector()
    trainer = _trainer(model, lr=0.0)
    trainer.register_hooks([hooks.PreciseBN(2, model, batches(4, constant=True), 5)])
    trainer.train(0, 2)
    with torch.no_grad():
        features = model.conv(torch.stack([s["image"] for s in next(batches(4))]))
    torch.testing.assert_close(model.norm.running_mean, features.mean((0, 2, 3)))
    torch.testing.assert_close(model.norm.running_var, features.var((0, 2, 3), unbiased=False))
    assert model.norm.momentum == 0.1


def test_precise_bn_without_batch_norm(caplog):
    model = ToyDetector(norm=False)
    with caplog.at_level("INFO"):
        hook = hooks.PreciseBN(1, model, batches(), 2)
    assert "no batch norm" in caplog.text
    hook.update_stats()
    assert hook.state_dict() == {}


# profiling


@pytest.mark.parametrize(
    "build, pattern",
    [
        (lambda when, out: hooks.TorchProfiler(when, out), "log/profiler-tensorboard-iter1/*.json"),
        (lambda when, out: hooks.TorchProfiler(when, out, save_tensorboard=False), "profiler-trace-iter1.json"),
        (lambda when, out: hooks.AutogradProfiler(when, out), "profiler-trace-iter1.json"),
    ],
)
def test_profilers_write_the_chosen_iteration(build, pattern, tmp_path):
    trainer = _trainer()
    trainer.register_hooks([build(lambda t: t.iter == 1, str(tmp_path)), hooks.TorchMemoryStats(period=1)])
    trainer.train(0, 3)
    files = list(tmp_path.glob(pattern))
    assert len(files) == 1 and "traceEvents" in json.loads(files[0].read_text())
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1
