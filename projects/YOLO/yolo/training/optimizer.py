"""Three groups of parameters: weights with decay, and norms and biases without."""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from detectron2.config import CfgNode
from detectron2.solver.build import _quantizer_options, maybe_add_gradient_clipping
from detectron2.solver.param_groups import NORM_TYPES

from .accumulation import scaled_weight_decay

__all__ = ["build_yolo_optimizer", "choose_optimizer", "parameter_groups"]

_OPTIMIZERS = ("SGD", "Adam", "AdamW", "auto")
# Above this number of iterations plain gradient descent ends at better weights than Adam.
_LONG_TRAINING = 10000


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    warmup_bias_lr: float = 0.0,
    without_decay: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Groups the trainable parameters of a model.

    Args:
        model: shared parameters count once.
        lr: learning rate of all groups.
        weight_decay: of weights with two or more dimensions that belong to no norm.
        warmup_bias_lr: option "warmup_lr" of the biases, see :class:`.schedule.WarmupSchedule`.
        without_decay: further parameters without decay, by their own names (the last parts).

    Returns:
        The groups "weights", "norms" and "biases" that have a parameter; the name is in the option "name". Scales of
        other kinds, such as implicit knowledge (arXiv:2105.04206) by its name "implicit", count as norms.
    """
    members: dict[str, list[nn.Parameter]] = {"weights": [], "norms": [], "biases": []}
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                members[_kind(module, name, parameter, without_decay)].append(parameter)
    options = {
        "weights": {"weight_decay": weight_decay},
        "norms": {"weight_decay": 0.0},
        "biases": {"weight_decay": 0.0, "warmup_lr": warmup_bias_lr},
    }
    return [
        {"params": params, "name": kind, "lr": lr, "warmup_lr": 0.0, **options[kind]}
        for kind, params in members.items()
        if params
    ]


def _kind(module: nn.Module, name: str, parameter: nn.Parameter, without_decay: Collection[str]) -> str:
    if name in without_decay:
        return "norms"
    if name == "bias":
        return "biases"
    is_scale = isinstance(module, NORM_TYPES) or parameter.ndim < 2 or name == "implicit"
    return "norms" if is_scale else "weights"


def choose_optimizer(name: str, max_iter: int) -> str:
    """What "auto" means: SGD for more than 10000 iterations, else AdamW; other names stay.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in _OPTIMIZERS:
        raise ValueError(f"MODEL.YOLO.TRAINING.OPTIMIZER is {name!r}, but must be one of {', '.join(_OPTIMIZERS)}")
    if name != "auto":
        return name
    return "SGD" if max_iter > _LONG_TRAINING else "AdamW"


def build_yolo_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of ``MODEL.YOLO.TRAINING`` and ``SOLVER``, with the clipping of ``SOLVER.CLIP_GRADIENTS``.

    Weight decay is scaled to the images of a step. Parameters of quantizers are not decayed.
    """
    node, solver = cfg.MODEL.YOLO.TRAINING, cfg.SOLVER
    decay = scaled_weight_decay(
        solver.WEIGHT_DECAY, solver.IMS_PER_BATCH, solver.ACCUMULATION_STEPS, node.NOMINAL_BATCH
    )
    groups = parameter_groups(
        model, solver.BASE_LR, decay, node.SCHEDULE.WARMUP_BIAS_LR, tuple(_quantizer_options(model) or ())
    )
    name = choose_optimizer(node.OPTIMIZER, solver.MAX_ITER)
    cls: Any = maybe_add_gradient_clipping(cfg, getattr(torch.optim, name))
    if name == "SGD":
        return cls(groups, lr=solver.BASE_LR, momentum=solver.MOMENTUM, nesterov=solver.NESTEROV, foreach=True)
    return cls(groups, lr=solver.BASE_LR, betas=(solver.MOMENTUM, 0.999), foreach=True)
