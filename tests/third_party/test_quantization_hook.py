"""Training a quantized detector: stages, stabilisers, resume after a kill, two processes."""

from pathlib import Path

import pytest
import torch

from detectron2.engine import DefaultTrainer, HookBase
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from tests.engine.interrupted import Sleeper, run_and_kill
from tests.engine.test_launch import _launch
from tests.third_party.tiny import SumOfScores, quantized_config
from third_party.quantization.spec import Role
from third_party.quantization.transform import quantizers

STAGES = [
    {"ITERATION": 0, "ACTION": "set_enabled", "VALUE": False},
    {"ITERATION": 2, "ACTION": "set_enabled", "VALUE": True},
    {"ITERATION": 4, "ACTION": "calibrate", "BATCHES": 2},
]
EVERYTHING = {
    "EMA_DECAY": 0.8,
    "CORRECTION": True,
    "OSCILLATION": {"DAMPENING": 0.01, "FREEZE_THRESHOLD": 0.02, "MOMENTUM": 0.2},
    "QUANTIZATION_LOSS": {"WEIGHT": 0.001, "KIND": "l2"},
}


class Trainer(DefaultTrainer):
    """The default trainer with an evaluator that sees every bit."""

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return SumOfScores()


class _Watch(HookBase):
    """Widths and states at each iteration."""

    def __init__(self):
        self.seen = []

    def after_step(self):
        found = [q for _, q in quantizers(self.trainer.model)]
        state = {"on": all(q.enabled for q in found), "frozen": all(q.frozen for q in found)}
        scales = torch.stack(
            [q.scale.detach().sum() for q in found if q.role is Role.ACTIVATION and hasattr(q, "scale")]
        )
        self.seen.append((state["on"], state["frozen"], scales))


def _run(cfg, hooks=()):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seed_all_rng(cfg.SEED)
        trainer = Trainer(cfg)
        trainer.register_hooks(list(hooks))
        trainer.resume_or_load(resume=True)
        trainer.train()
    finally:
        torch.set_num_threads(threads)
    return trainer


def test_one_config_describes_the_three_stages(shapes, tmp_path):
    cfg = quantized_config(shapes, tmp_path, SCHEDULE=STAGES)
    cfg.SOLVER.MAX_ITER = 8
    watch = _Watch()
    trainer = _run(cfg, [watch])
    assert [on for on, _, _ in watch.seen] == [False, False, True, True, True, True, True, True]
    assert [frozen for _, frozen, _ in watch.seen] == [False] * 5 + [True] * 3
    assert torch.equal(watch.seen[0][2], watch.seen[1][2])  # nothing learned or observed in float
    assert not torch.equal(watch.seen[2][2], watch.seen[3][2])  # learned
    assert torch.equal(watch.seen[5][2], watch.seen[7][2])  # fixed by the calibration
    assert all(quantizer.grid().exact for _, quantizer in quantizers(trainer.model))


def test_a_schedule_beyond_the_end_is_an_error(shapes, tmp_path):
    cfg = quantized_config(shapes, tmp_path, SCHEDULE=[{"ITERATION": 400, "ACTION": "freeze"}])
    with pytest.raises(ValueError, match="400"):
        Trainer(cfg)


def test_losses_and_averages_take_part(shapes, tmp_path):
    cfg = quantized_config(shapes, tmp_path, TRAINING=EVERYTHING)
    trainer = _run(cfg)
    names = {name for name in trainer.storage.histories() if name.startswith("loss_")}
    assert {"loss_dampening", "loss_quantization", "loss_cls"} <= names
    final = torch.load(tmp_path / "model_final.pth", weights_only=True)
    # What is saved at the end is what was evaluated: a test of the file gives the number of the training log.
    again = quantized_config(shapes, tmp_path / "again", TRAINING=EVERYTHING)
    again.MODEL.WEIGHTS = str(tmp_path / "model_final.pth")
    model = Trainer.build_model(again)
    from detectron2.checkpoint import DetectionCheckpointer

    DetectionCheckpointer(model).load(again.MODEL.WEIGHTS)
    assert Trainer.test(again, model)["bbox"] == trainer._last_eval_results["bbox"]
    assert "average" in next(state for name, state in final["trainer"]["hooks"].items() if "Quantization" in name)


def test_a_teacher_in_float(shapes, tmp_path):
    cfg = quantized_config(shapes, tmp_path / "float")
    cfg.MODEL.QUANTIZATION.ENABLED = False
    cfg.MODEL.QUANTIZATION.WEIGHT.BITS = cfg.MODEL.QUANTIZATION.ACTIVATION.BITS = 8
    cfg.SOLVER.MAX_ITER = 2
    _run(cfg)
    teacher = str(tmp_path / "float" / "model_final.pth")
    distillation = {"WEIGHT": 1.0, "TEACHER": teacher, "NAMES": ["backbone.fpn_output*"]}
    cfg = quantized_config(shapes, tmp_path / "student", TRAINING={"DISTILLATION": distillation})
    cfg.MODEL.WEIGHTS = teacher
    trainer = _run(cfg)
    assert trainer.storage.history("loss_distillation").latest() > 0
    distillation["TEACHER"] = ""
    cfg = quantized_config(shapes, tmp_path / "by_default", TRAINING={"DISTILLATION": distillation})
    cfg.MODEL.WEIGHTS = teacher
    again = _run(cfg)
    losses = [t.storage.history("loss_distillation").values() for t in (trainer, again)]
    assert losses[0] == losses[1]
    cfg = quantized_config(shapes, tmp_path / "none", TRAINING={"DISTILLATION": distillation})
    with pytest.raises(ValueError, match="TEACHER"):
        _run(cfg)


def run_resumable(shapes, output, sleep_at=-1):
    """A training with all that has a state."""
    progressive = {"ENABLED": True, "START_BITS": 6, "END_BITS": 4, "STEPS": [2, 4], "NAME": "head.*"}
    stages = [{"ITERATION": 6, "ACTION": "calibrate", "BATCHES": 1}]
    training = {**EVERYTHING, "PROGRESSIVE": progressive}
    cfg = quantized_config(Path(shapes), Path(output), "retinanet_tiny", SCHEDULE=stages, TRAINING=training)
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD = 8, 3, 3
    _run(cfg, [Sleeper(int(sleep_at))])


def test_a_killed_and_resumed_training_equals_one_never_killed(shapes, tmp_path):
    run_resumable(shapes, tmp_path / "whole")
    output = tmp_path / "killed"
    run_and_kill(run_resumable, output, shapes, output, 4)
    run_resumable(shapes, output)
    expected, actual = (torch.load(f / "model_final.pth", weights_only=True) for f in (tmp_path / "whole", output))
    assert set(actual["model"]) == set(expected["model"])
    assert not [name for name, value in expected["model"].items() if not torch.equal(value, actual["model"][name])]
    state = actual["model"]["head.bbox_subnet.0.weight_quantizer.state"]
    assert int(state[0]) == 4  # from 6 down to 5 and 4


def _two(folder):
    """Both processes train on different pictures, from data that set different ranges."""
    folder, rank = Path(folder), comm.get_rank()
    cfg = quantized_config(folder / "shapes", folder / "out", SCHEDULE=STAGES)
    cfg.SOLVER.MAX_ITER = 7
    seed_all_rng(5 + rank)
    trainer = Trainer(cfg)
    trainer.train()
    states = {name: q.state_dict() for name, q in quantizers(trainer.model.module)}
    torch.save(states, folder / f"quantizers_{rank}.pth")
    comm.synchronize()


def test_two_processes_keep_the_same_ranges(tmp_path):
    from datasets.shapes import write_splits

    write_splits(tmp_path / "shapes", train=24, val=2, size=(96, 72))
    assert _launch(_two, str(tmp_path)) == 0
    first, second = (torch.load(tmp_path / f"quantizers_{rank}.pth", weights_only=True) for rank in (0, 1))
    assert len(first) > 20
    for name, state in first.items():
        for key, value in state.items():
            assert torch.equal(value, second[name][key]), (name, key)
