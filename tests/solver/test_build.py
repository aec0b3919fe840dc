"""Optimizer, parameter groups and gradient clipping."""

import pytest
import torch
from torch import nn

from detectron2.config import get_cfg
from detectron2.solver import build_optimizer, get_default_optimizer_params
from detectron2.solver.build import _expand_param_groups, maybe_add_gradient_clipping, reduce_param_groups
from tests.facts import fact

GROUPS = fact("init_stats")["optimizer_groups"]


class _Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.GroupNorm(2, 4)
        self.fc = nn.Linear(4, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.tied = nn.Linear(4, 2)
        self.tied.weight = self.fc.weight


def _options(model, **kwargs):
    """Parameter name to its options."""
    names = {p: n for n, p in model.named_parameters()}
    groups = get_default_optimizer_params(model, **kwargs)
    return {names[p]: {k: v for k, v in g.items() if k != "params"} for g in groups for p in g["params"]}


@pytest.mark.parametrize("case", [k for k in GROUPS if "cascade" not in k])
def test_groups_of_zoo_models_equal_facts(case):
    from detectron2 import model_zoo
    from detectron2.modeling import build_model

    name, weight_decay_bias, bias_lr = case.split(" ")
    cfg = model_zoo.get_config(name)
    cfg.MODEL.DEVICE = "meta"
    cfg.SOLVER.WEIGHT_DECAY_BIAS = None if weight_decay_bias.endswith("None") else 0.0
    cfg.SOLVER.BIAS_LR_FACTOR = float(bias_lr.split("=")[1])
    with torch.device("meta"):
        model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    expected = GROUPS[case]
    assert type(optimizer).__name__ == expected["class"]
    assert {k: optimizer.defaults[k] for k in expected["defaults"]} == expected["defaults"]
    groups = [[len(g["params"]), g["lr"], g["weight_decay"]] for g in optimizer.param_groups]
    assert groups == expected["groups"]


def test_defaults_leave_options_to_the_optimizer():
    model = _Toy()
    groups = get_default_optimizer_params(model)
    assert len(groups) == 1 and set(groups[0]) == {"params"}
    # the frozen layer is left out and the tied weight is there once
    assert len(groups[0]["params"]) == 7


def test_rules_and_their_precedence():
    options = _options(
        _Toy(),
        base_lr=0.1,
        weight_decay=1e-4,
        weight_decay_norm=0.5,
        bias_lr_factor=2.0,
        weight_decay_bias=0.0,
        lr_factor_func=lambda name: 0.1 if name.startswith("conv") else 1.0,
        overrides={"weight": {"momentum": 0.3}},
    )
    assert options["conv.weight"] == {"lr": pytest.approx(0.01), "weight_decay": 1e-4, "momentum": 0.3}
    assert options["norm.weight"] == {"lr": 0.1, "weight_decay": 0.5, "momentum": 0.3}
    assert options["norm.bias"] == {"lr": 0.2, "weight_decay": 0.0}
    assert options["conv.bias"] == {"lr": 0.2, "weight_decay": 0.0}


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"bias_lr_factor": 2.0}, "base_lr"),
        ({"lr_factor_func": lambda n: 1.0}, "base_lr"),
        ({"base_lr": 1.0, "weight_decay_bias": 0.0, "overrides": {"bias": {"lr": 1.0}}}, "bias"),
    ],
)
def test_contradicting_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        get_default_optimizer_params(_Toy(), **kwargs)


def test_reduce_and_expand_param_groups():
    a, b, c, d = (nn.Parameter(torch.zeros(1)) for _ in range(4))
    groups = [
        {"params": [a, b], "lr": 0.1},
        {"params": c, "lr": 0.2},
        {"params": iter([d]), "lr": 0.1},
        {"params": [b], "weight_decay": 1.0},
    ]
    reduced = reduce_param_groups(groups)
    assert [[id(p) for p in g["params"]] for g in reduced] == [[id(a), id(d)], [id(b)], [id(c)]]
    assert reduced[1]["weight_decay"] == 1.0 and reduced[1]["lr"] == 0.1
    assert len(_expand_param_groups(reduced)) == 4


def _clip_cfg(clip_type: str, value: float = 1.0):
    cfg = get_cfg()
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = clip_type
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = value
    return cfg


def _updates(clip_type: str, from_instance: bool = False) -> list[torch.Tensor]:
    """What one step of rate 1 takes off two parameters with gradients (3, 4) and (0.6, 0)."""
    params = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))]
    params[0].grad = torch.tensor([3.0, 4.0])
    params[1].grad = torch.tensor([0.6, 0.0])  # the third has no gradient
    if from_instance:
        optimizer = maybe_add_gradient_clipping(_clip_cfg(clip_type), torch.optim.SGD(params, lr=1.0))
    else:
        optimizer = maybe_add_gradient_clipping(_clip_cfg(clip_type), torch.optim.SGD)(params, lr=1.0)
    assert isinstance(optimizer, torch.optim.SGD)
    optimizer.step()
    return [-p.detach() for p in params]


@pytest.mark.parametrize("from_instance", [False, True])
@pytest.mark.parametrize(
    "clip_type, first, second",
    [
        ("value", (1.0, 1.0), (0.6, 0.0)),
        ("norm", (0.6, 0.8), (0.6, 0.0)),
        ("full_model", (3 / 25.36**0.5, 4 / 25.36**0.5), (0.6 / 25.36**0.5, 0.0)),
    ],
)
def test_clipping(clip_type, first, second, from_instance):
    updates = _updates(clip_type, from_instance)
    torch.testing.assert_close(updates[0], torch.tensor(first), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(updates[1], torch.tensor(second), atol=1e-5, rtol=1e-5)
    assert not updates[2].any()


def test_clipping_off_and_unknown():
    assert maybe_add_gradient_clipping(get_cfg(), torch.optim.SGD) is torch.optim.SGD
    with pytest.raises(ValueError, match="CLIP_TYPE.*'size'.*full_model"):
        maybe_add_gradient_clipping(_clip_cfg("size"), torch.optim.SGD)
