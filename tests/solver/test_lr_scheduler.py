"""Learning-rate schedules against the goldens."""

import numpy as np
import pytest
import torch
from fvcore.common.param_scheduler import (
    ConstantParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
)

from detectron2.config import get_cfg
from detectron2.solver import (
    LRMultiplier,
    WarmupCosineLR,
    WarmupMultiStepLR,
    WarmupParamScheduler,
    build_lr_scheduler,
)
from detectron2.solver.lr_scheduler import _get_warmup_factor_at_iter
from tests.facts import golden

BASE_LR = 5.0


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE_LR)


def _rates(make_scheduler, steps: int) -> np.ndarray:
    optimizer = _optimizer()
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def _multiplier(schedule, length, method="linear", factor=0.001, rescale=False):
    warmup = WarmupParamScheduler(schedule, factor, length, method, rescale_interval=rescale)
    return lambda optimizer: LRMultiplier(optimizer, warmup, max_iter=30)


def _steps():
    return MultiStepParamScheduler([1, 0.1, 0.01, 0.001], milestones=[10, 15, 20], num_updates=30)


SCHEDULES = {
    "multistep_linear": lambda o: WarmupMultiStepLR(o, [10, 15, 20], 0.1, 0.001, 5, "linear"),
    "multistep_constant": lambda o: WarmupMultiStepLR(o, [10, 15, 20], 0.5, 0.25, 7, "constant"),
    "cosine_linear": lambda o: WarmupCosineLR(o, 30, 0.001, 5, "linear"),
    "mult_cosine": _multiplier(CosineParamScheduler(1, 0), 5 / 30),
    "mult_multistep": _multiplier(_steps(), 5 / 30),
    "mult_cosine_rescale": _multiplier(CosineParamScheduler(1, 0), 5 / 30, rescale=True),
    "mult_multistep_rescale": _multiplier(_steps(), 5 / 30, rescale=True),
    "mult_linear_const": _multiplier(LinearParamScheduler(1.0, 0.2), 6 / 30, "constant", 0.1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_equal_goldens(name):
    expected = golden("lr_schedules")[name]
    np.testing.assert_allclose(_rates(SCHEDULES[name], len(expected)), expected, rtol=1e-9)


def _solver_cfg(name: str, rescale: bool):
    cfg = get_cfg()
    cfg.SOLVER.LR_SCHEDULER_NAME = name
    cfg.SOLVER.MAX_ITER = 60
    cfg.SOLVER.STEPS = (30, 50, 80)
    cfg.SOLVER.WARMUP_ITERS = 10
    cfg.SOLVER.BASE_LR = BASE_LR
    cfg.SOLVER.BASE_LR_END = 0.002
    cfg.SOLVER.RESCALE_INTERVAL = rescale
    return cfg


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("name", ["WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR"])
def test_config_schedules_equal_goldens(name, rescale):
    expected = golden("lr_schedules")[f"cfg_{name}_rescale{int(rescale)}"]
    cfg = _solver_cfg(name, rescale)
    # The loop steps once more after the last iteration: that must not fail for any schedule.
    np.testing.assert_allclose(_rates(lambda o: build_lr_scheduler(cfg, o), 60), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR"])
def test_warmup_longer_than_training(name):
    cfg = _solver_cfg(name, False)
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS = 5, (), 1000
    rates = _rates(lambda o: build_lr_scheduler(cfg, o), 6)
    assert np.isfinite(rates).all() and rates[0] == pytest.approx(BASE_LR * 0.001)


def test_steps_warn_when_out_of_reach(caplog):
    with caplog.at_level("WARNING"):
        build_lr_scheduler(_solver_cfg("WarmupMultiStepLR", False), _optimizer())
    assert "(30, 50, 80)" in caplog.text and "60" in caplog.text


def test_resumed_schedule_goes_on():
    cfg = _solver_cfg("WarmupCosineLR", False)
    expected = _rates(lambda o: build_lr_scheduler(cfg, o), 60)
    first = _optimizer()
    scheduler = build_lr_scheduler(cfg, first)
    for _ in range(25):
        first.step()
        scheduler.step()
    second = _optimizer()
    resumed = build_lr_scheduler(cfg, second)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    rates = []
    for _ in range(25, 60):
        rates.append(second.param_groups[0]["lr"])
        second.step()
        resumed.step()
    np.testing.assert_array_equal(rates, expected[25:])


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("LR_SCHEDULER_NAME", "Cosine", "WarmupCosineLR"),
        ("WARMUP_METHOD", "quadratic", "'linear' or 'constant'"),
        ("STEPS", (50, 30), "SOLVER.STEPS"),
    ],
)
def test_bad_config_is_named(key, value, message):
    cfg = _solver_cfg("WarmupMultiStepLR", False)
    cfg.SOLVER[key] = value
    with pytest.raises(ValueError, match=message):
        build_lr_scheduler(cfg, _optimizer())


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="warmup_length"):
        WarmupParamScheduler(ConstantParamScheduler(1.0), 0.1, 1.5)
    with pytest.raises(ValueError, match="ParamScheduler"):
        LRMultiplier(_optimizer(), lambda where: 1.0, 10)
    with pytest.raises(ValueError, match="increase"):
        WarmupMultiStepLR(_optimizer(), [3, 2])
    with pytest.raises(ValueError, match="cubic"):
        _get_warmup_factor_at_iter("cubic", 0, 10, 0.1)
