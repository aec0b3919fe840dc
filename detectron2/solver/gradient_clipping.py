"""Gradient clipping as a mixin over any optimizer: it happens at the start of ``step``, after AMP's unscaling."""

import itertools
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeAlias

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from detectron2.config import CfgNode

GradientClipper: TypeAlias = Callable[[torch.Tensor | Iterable[torch.Tensor]], None]

# CLIP_TYPE of the norm over all parameters together; the enumeration's two types look at one parameter at a time.
FULL_MODEL = "full_model"


class GradientClipType(Enum):
    """How the gradient of each parameter is limited: every element, or its norm."""

    VALUE = "value"
    NORM = "norm"


def _create_gradient_clipper(cfg: CfgNode) -> GradientClipper:
    """The clipping function that a ``SOLVER.CLIP_GRADIENTS`` node asks for."""
    limit, norm_type = cfg.CLIP_VALUE, cfg.NORM_TYPE

    def by_norm(parameters: torch.Tensor | Iterable[torch.Tensor]) -> None:
        clip_grad_norm_(parameters, limit, norm_type)

    def by_value(parameters: torch.Tensor | Iterable[torch.Tensor]) -> None:
        clip_grad_value_(parameters, limit)

    if cfg.CLIP_TYPE == FULL_MODEL:
        return by_norm
    try:
        clip_type = GradientClipType(cfg.CLIP_TYPE)
    except ValueError:
        allowed = [t.value for t in GradientClipType] + [FULL_MODEL]
        raise ValueError(f"SOLVER.CLIP_GRADIENTS.CLIP_TYPE is {cfg.CLIP_TYPE!r}, allowed are {allowed}") from None
    return {GradientClipType.VALUE: by_value, GradientClipType.NORM: by_norm}[clip_type]


def _generate_optimizer_class_with_gradient_clipping(
    optimizer: type[torch.optim.Optimizer],
    *,
    per_param_clipper: GradientClipper | None = None,
    global_clipper: GradientClipper | None = None,
) -> type[torch.optim.Optimizer]:
    """A subclass of ``optimizer`` whose ``step`` first clips.

    Args:
        optimizer: the class to extend.
        per_param_clipper: called with each parameter.
        global_clipper: called once with the list of all parameters.

    Raises:
        ValueError: both clippers are given, or none.
    """
    if (per_param_clipper is None) == (global_clipper is None):
        raise ValueError("give exactly one of per_param_clipper and global_clipper")

    def step(self: torch.optim.Optimizer, closure: Callable[[], float] | None = None) -> float | None:
        members = itertools.chain.from_iterable(group["params"] for group in self.param_groups)
        # PyTorch's clipping by value does not take a parameter that the step did not use.
        parameters = [parameter for parameter in members if parameter.grad is not None]
        if global_clipper is not None:
            global_clipper(parameters)
        else:
            for parameter in parameters:
                per_param_clipper(parameter)
        return super(clipping_class, self).step(closure)

    clipping_class = type(f"{optimizer.__name__}WithGradientClip", (optimizer,), {"step": step})
    return clipping_class


def maybe_add_gradient_clipping(
    cfg: CfgNode, optimizer: type[torch.optim.Optimizer] | torch.optim.Optimizer
) -> type[torch.optim.Optimizer] | torch.optim.Optimizer:
    """Adds the clipping of ``SOLVER.CLIP_GRADIENTS`` to an optimizer.

    Args:
        cfg: the whole config. ``CLIP_TYPE`` is "value" or "norm" (each parameter on its own) or "full_model" (the
            norm over all gradients together).
        optimizer: an optimizer class, or an optimizer, whose class is then changed in place.

    Returns:
        What came in when clipping is off, else the extended class or the same, changed, optimizer.

    Raises:
        ValueError: ``CLIP_TYPE`` is unknown.
    """
    node = cfg.SOLVER.CLIP_GRADIENTS
    if not node.ENABLED:
        return optimizer
    scope = "global_clipper" if node.CLIP_TYPE == FULL_MODEL else "per_param_clipper"
    base = type(optimizer) if isinstance(optimizer, torch.optim.Optimizer) else optimizer
    extended = _generate_optimizer_class_with_gradient_clipping(base, **{scope: _create_gradient_clipper(node)})
    if isinstance(optimizer, torch.optim.Optimizer):
        optimizer.__class__ = extended
        return optimizer
    return extended
