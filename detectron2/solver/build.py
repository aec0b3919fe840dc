"""Builds the optimizer and the learning-rate schedule that a config describes."""

import logging

import torch
from fvcore.common.param_scheduler import (
    CosineParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
    StepWithFixedGammaParamScheduler,
)
from torch.optim.lr_scheduler import LRScheduler

from detectron2.config import CfgNode
from detectron2.utils.env import TORCH_VERSION

from .gradient_clipping import (
    GradientClipType,
    _create_gradient_clipper,
    _generate_optimizer_class_with_gradient_clipping,
    maybe_add_gradient_clipping,
)
from .lr_scheduler import LRMultiplier, WarmupParamScheduler
from .param_groups import _expand_param_groups, get_default_optimizer_params, reduce_param_groups

__all__ = [
    "TORCH_VERSION",
    "GradientClipType",
    "_create_gradient_clipper",
    "_expand_param_groups",
    "_generate_optimizer_class_with_gradient_clipping",
    "build_lr_scheduler",
    "build_optimizer",
    "get_default_optimizer_params",
    "maybe_add_gradient_clipping",
    "reduce_param_groups",
]

logger = logging.getLogger(__name__)


def build_optimizer(cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum over the trainable parameters, with the options and the clipping of ``cfg.SOLVER``."""
    solver = cfg.SOLVER
    groups = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        overrides=_quantizer_options(model),
    )
    return maybe_add_gradient_clipping(cfg, torch.optim.SGD)(
        groups,
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        nesterov=solver.NESTEROV,
        weight_decay=solver.WEIGHT_DECAY,
        foreach=True,
    )


def _quantizer_options(model: torch.nn.Module) -> dict[str, dict[str, float]] | None:
    """Options of the parameters of quantizers by name; None for a float model."""
    if getattr(model, "quantization", None) is None:
        return None
    from third_party.quantization import parameter_overrides

    return parameter_overrides(model)


def build_lr_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """The schedule named by ``SOLVER.LR_SCHEDULER_NAME``, with its warm-up.

    Raises:
        ValueError: the name is unknown.
    """
    solver = cfg.SOLVER
    builders = {
        "WarmupMultiStepLR": _multi_step,
        "WarmupCosineLR": _cosine,
        "WarmupStepWithFixedGammaLR": _fixed_gamma,
    }
    if solver.LR_SCHEDULER_NAME not in builders:
        raise ValueError(
            f"SOLVER.LR_SCHEDULER_NAME is {solver.LR_SCHEDULER_NAME!r}, allowed are {sorted(builders)}; "
            "for another schedule override build_lr_scheduler of the trainer"
        )
    schedule = WarmupParamScheduler(
        builders[solver.LR_SCHEDULER_NAME](solver),
        solver.WARMUP_FACTOR,
        min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0),
        solver.WARMUP_METHOD,
        solver.RESCALE_INTERVAL,
    )
    return LRMultiplier(optimizer, multiplier=schedule, max_iter=solver.MAX_ITER)


def _multi_step(solver: CfgNode) -> ParamScheduler:
    if any(later <= earlier for earlier, later in zip((0, *solver.STEPS), solver.STEPS, strict=False)):
        raise ValueError(f"SOLVER.STEPS must be positive and increase, got {tuple(solver.STEPS)}")
    steps = [step for step in solver.STEPS if step <= solver.MAX_ITER]
    if len(steps) < len(solver.STEPS):
        logger.warning(
            "SOLVER.STEPS %s: those above SOLVER.MAX_ITER %d are never reached", tuple(solver.STEPS), solver.MAX_ITER
        )
    # A decay right at the end happens after the last iteration, and fvcore wants milestones below the total.
    steps = [step for step in steps if step < solver.MAX_ITER]
    return MultiStepParamScheduler(
        values=[solver.GAMMA**k for k in range(len(steps) + 1)], milestones=steps, num_updates=solver.MAX_ITER
    )


def _cosine(solver: CfgNode) -> ParamScheduler:
    if solver.BASE_LR <= 0 or solver.BASE_LR_END < 0:
        raise ValueError(
            f"a cosine schedule needs SOLVER.BASE_LR > 0 and SOLVER.BASE_LR_END >= 0, "
            f"got {solver.BASE_LR} and {solver.BASE_LR_END}"
        )
    return CosineParamScheduler(1.0, solver.BASE_LR_END / solver.BASE_LR)


def _fixed_gamma(solver: CfgNode) -> ParamScheduler:
    return StepWithFixedGammaParamScheduler(
        base_value=1.0, num_decays=solver.NUM_DECAYS, gamma=solver.GAMMA, num_updates=solver.MAX_ITER
    )
