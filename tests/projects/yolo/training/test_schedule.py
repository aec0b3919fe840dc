"""Rates and momenta at given iterations against their formulas."""

import math
from typing import Any

import pytest
import torch
from detectron2.projects.yolo.training import WarmupSchedule, build_schedule, build_yolo_optimizer
from detectron2.projects.yolo.training.defaults import MODEL_YOLO_TRAINING
from detectron2.projects.yolo.training.schedule import SHAPES
from torch import nn

from detectron2.config import CfgNode, get_cfg


def config(**schedule: Any) -> CfgNode:
    cfg = get_cfg()
    cfg.MODEL.YOLO = CfgNode({"TRAINING": CfgNode(MODEL_YOLO_TRAINING).clone()})
    cfg.MODEL.YOLO.TRAINING.SCHEDULE.update(schedule)
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS = 100, 20
    cfg.SOLVER.BASE_LR, cfg.SOLVER.MOMENTUM = 0.01, 0.937
    return cfg


def trace(cfg: CfgNode) -> list[dict[str, tuple[float, float]]]:
    """(rate, momentum) of each group by name, at each iteration."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    optimizer = build_yolo_optimizer(cfg, model)
    schedule = build_schedule(cfg, optimizer)
    found = []
    for _ in range(cfg.SOLVER.MAX_ITER + 3):
        groups = optimizer.param_groups
        found.append({g["name"]: (g["lr"], g["betas"][0] if "betas" in g else g["momentum"]) for g in groups})
        optimizer.step()
        schedule.step()
    return found


def factor(shape: str, t: int) -> float:
    if shape == "linear":
        return (1 - t / 100) * (1 - 0.1) + 0.1
    if shape == "cosine":
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * t / 100))
    if t < 20:
        return 1.0
    return 0.1 if t >= 85 else 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (t - 20) / 65))


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_against_the_formula(shape: str, power: float, optimizer: str) -> None:
    cfg = config(SHAPE=shape, FINAL=0.1, TAIL_ITERS=15, WARMUP_POWER=power)
    cfg.MODEL.YOLO.TRAINING.OPTIMIZER = optimizer
    rates = trace(cfg)
    for t in (0, 1, 10, 19, 20, 21, 50, 84, 85, 99):
        target, progress = 0.01 * factor(shape, t), min(t / 20, 1) ** power
        momentum = 0.8 + (0.937 - 0.8) * progress
        for name, start in (("weights", 0.0), ("norms", 0.0), ("biases", 0.1)):
            expected = start + (target - start) * progress
            assert rates[t][name] == pytest.approx((expected, momentum), rel=1e-9, abs=1e-12)
    assert rates[0]["biases"][0] == 0.1 and rates[0]["weights"][0] == 0
    assert rates[102] == rates[99]


def test_no_warmup_and_no_momentum() -> None:
    cfg = config()
    cfg.SOLVER.WARMUP_ITERS = 0
    assert trace(cfg)[0]["biases"] == (0.01, 0.937)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0, momentum=0.5)
    WarmupSchedule(optimizer, lambda t: 1.0, 10, 5)
    assert optimizer.param_groups[0]["momentum"] == 0.5 and optimizer.param_groups[0]["lr"] == 0


def test_a_resumed_schedule_goes_on() -> None:
    cfg, model = config(), nn.Conv2d(3, 4, 1)
    optimizer = build_yolo_optimizer(cfg, model)
    schedule = build_schedule(cfg, optimizer)
    saved = None
    whole = []
    for t in range(30):
        if t == 7:
            saved = optimizer.state_dict(), schedule.state_dict()
        whole.append([(g["lr"], g["momentum"]) for g in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    optimizer = build_yolo_optimizer(cfg, model)
    schedule = build_schedule(cfg, optimizer)
    optimizer.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    for t in range(7, 30):
        assert [(g["lr"], g["momentum"]) for g in optimizer.param_groups] == whole[t]
        optimizer.step()
        schedule.step()


def test_refusals() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match="SHAPE is 'cosin'.*cosine"):
        build_schedule(config(SHAPE="cosin"), optimizer)
    with pytest.raises(ValueError, match="leave nothing"):
        build_schedule(config(SHAPE="cosine_tail", TAIL_ITERS=80), optimizer)
    for wrong in ({"max_iter": 0}, {"max_iter": 9, "warmup_iters": -1}, {"max_iter": 9, "power": 0.0}):
        with pytest.raises(ValueError, match="a schedule needs"):
            WarmupSchedule(optimizer, lambda t: 1.0, **wrong)
