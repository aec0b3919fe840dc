"""Groups, weight decay and accumulation of a step."""

import pytest
import torch
from detectron2.projects.yolo.training import (
    accumulation_steps,
    build_yolo_optimizer,
    choose_optimizer,
    parameter_groups,
    scaled_weight_decay,
    with_accumulation,
)
from torch import nn

from detectron2.config import CfgNode
from detectron2.layers import Conv2d

from .test_schedule import config


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv2d(3, 4, 3, bias=False, norm=nn.BatchNorm2d(4))
        self.linear = nn.Linear(4, 2)
        self.shared = self.linear
        self.implicit = nn.Parameter(torch.zeros(1, 4, 1, 1))
        self.scale = nn.Parameter(torch.ones(1))
        self.table = nn.Parameter(torch.zeros(2, 2))
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)


def names_of(model: nn.Module, groups: list[dict]) -> dict[str, set[str]]:
    by_id = {id(p): name for name, p in model.named_parameters()}
    return {group["name"]: {by_id[id(p)] for p in group["params"]} for group in groups}


def test_three_groups() -> None:
    model = Net()
    groups = parameter_groups(model, 0.01, 0.0005, 0.1, without_decay=("table",))
    assert names_of(model, groups) == {
        "weights": {"conv.weight", "linear.weight"},
        "norms": {"conv.norm.weight", "implicit", "scale", "table"},
        "biases": {"conv.norm.bias", "linear.bias"},
    }
    assert [(g["weight_decay"], g["warmup_lr"], g["lr"]) for g in groups] == [
        (0.0005, 0.0, 0.01),
        (0.0, 0.0, 0.01),
        (0.0, 0.1, 0.01),
    ]
    assert [g["name"] for g in parameter_groups(nn.Linear(2, 2, bias=False), 1, 1)] == ["weights"]


def solver(batch: int, nominal: int = 64) -> CfgNode:
    cfg = config()
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.WEIGHT_DECAY = batch, 0.0005
    cfg.MODEL.YOLO.TRAINING.NOMINAL_BATCH = nominal
    return cfg


@pytest.mark.parametrize(
    "batch, nominal, steps, decay",
    [(16, 64, 4, 0.0005), (24, 64, 3, 0.0005 * 72 / 64), (128, 64, 1, 0.001), (64, 64, 1, 0.0005), (8, 0, 1, 0.0005)],
)
def test_steps_and_decay(batch: int, nominal: int, steps: int, decay: float) -> None:
    assert accumulation_steps(batch, nominal) == steps
    assert scaled_weight_decay(0.0005, batch, steps, nominal) == pytest.approx(decay)
    cfg = solver(batch, nominal)
    cfg.freeze()
    accumulated = with_accumulation(cfg)
    assert accumulated.SOLVER.ACCUMULATION_STEPS == steps and accumulated.is_frozen()
    assert cfg.SOLVER.ACCUMULATION_STEPS == 1
    assert build_yolo_optimizer(accumulated, Net()).param_groups[0]["weight_decay"] == pytest.approx(decay)


def test_a_step_moves_as_the_formula_says() -> None:
    cfg = solver(64)
    cfg.SOLVER.NESTEROV = True
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 0.25
    model = nn.Linear(2, 1)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    optimizer = build_yolo_optimizer(cfg, model)
    (8 * model(torch.ones(1, 2))).sum().backward()
    optimizer.step()
    gradient = 0.25 + 0.0005 * weight
    torch.testing.assert_close(model.weight.detach(), weight - 0.01 * 1.937 * gradient)
    torch.testing.assert_close(model.bias.detach(), bias - 0.01 * 1.937 * 0.25)


def test_choice() -> None:
    assert [choose_optimizer("auto", n) for n in (10000, 10001)] == ["AdamW", "SGD"]
    assert choose_optimizer("Adam", 1) == "Adam"
    cfg = solver(64)
    cfg.MODEL.YOLO.TRAINING.OPTIMIZER = "Adam"
    assert type(build_yolo_optimizer(cfg, Net())) is torch.optim.Adam
    with pytest.raises(ValueError, match="OPTIMIZER is 'adam'.*Adam"):
        choose_optimizer("adam", 1)
    with pytest.raises(ValueError, match="NOMINAL_BATCH"):
        accumulation_steps(0, 64)
