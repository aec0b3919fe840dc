"""Learning-rate schedules: a shape over relative training progress, and its adapter to ``torch.optim``.

Two older schedulers that count iterations themselves, :class:`WarmupMultiStepLR` and :class:`WarmupCosineLR`, are
kept for the projects that construct them directly.
"""

import logging
import math
from bisect import bisect_right
from typing import Any

import torch
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
)
from torch.optim.lr_scheduler import LRScheduler

logger = logging.getLogger(__name__)

__all__ = ["LRMultiplier", "WarmupCosineLR", "WarmupMultiStepLR", "WarmupParamScheduler"]

# Schedulers of fvcore are defined on [0, 1) and look ahead by WHERE_EPSILON: the last point they can be asked for.
_LAST_WHERE = 1.0 - 2 * ParamScheduler.WHERE_EPSILON


class WarmupParamScheduler(CompositeParamScheduler):
    """Puts a warm-up phase in front of another schedule.

    Args:
        scheduler: the schedule after the warm-up, over progress in [0, 1).
        warmup_factor: the warm-up starts at ``warmup_factor * scheduler(0)``.
        warmup_length: length of the warm-up relative to the whole training, in [0, 1].
        warmup_method: ``"linear"`` rises to the schedule's value at the end of the warm-up, ``"constant"`` stays at
            the start value (Goyal et al., arXiv:1706.02677, section 2.2).
        rescale_interval: squeeze the whole of ``scheduler`` into what is left after the warm-up, instead of skipping
            its first part.

    Raises:
        ValueError: ``warmup_method`` or ``warmup_length`` is not one of the values above.
    """

    def __init__(
        self,
        scheduler: ParamScheduler,
        warmup_factor: float,
        warmup_length: float,
        warmup_method: str = "linear",
        rescale_interval: bool = False,
    ) -> None:
        if not 0.0 <= warmup_length <= 1.0:
            raise ValueError(f"warmup_length is a part of the training in [0, 1], got {warmup_length}")
        first = scheduler(0.0)
        if warmup_method == "linear":
            target = first if rescale_interval else scheduler(min(warmup_length, _LAST_WHERE))
            warmup: ParamScheduler = LinearParamScheduler(warmup_factor * first, target)
        elif warmup_method == "constant":
            warmup = ConstantParamScheduler(warmup_factor * first)
        else:
            raise ValueError(f"warmup_method {warmup_method!r} is unknown: use 'linear' or 'constant'")
        super().__init__(
            [warmup, scheduler],
            lengths=[warmup_length, 1.0 - warmup_length],
            interval_scaling=["rescaled", "rescaled" if rescale_interval else "fixed"],
        )


class LRMultiplier(LRScheduler):
    """Learning rate = initial rate of each parameter group times ``multiplier(iteration / max_iter)``.

    Unlike ``torch``'s own schedulers the shape is a plain function of progress, so it can be inspected and tested
    without an optimizer. Steps at or after ``max_iter`` keep the rate of the last iteration.

    Args:
        optimizer: its groups' learning rates are scaled.
        multiplier: maps progress in [0, 1) to a factor.
        max_iter: number of iterations that make progress 1.
        last_iter: the iteration before the first one, -1 for a new training.

    Raises:
        ValueError: ``multiplier`` is not a ``ParamScheduler`` or ``max_iter`` is not positive.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        multiplier: ParamScheduler,
        max_iter: int,
        last_iter: int = -1,
    ) -> None:
        if not isinstance(multiplier, ParamScheduler):
            raise ValueError(f"multiplier must be an fvcore ParamScheduler, got {type(multiplier).__name__}")
        if max_iter <= 0:
            raise ValueError(f"max_iter must be positive, got {max_iter}")
        self._multiplier = multiplier
        self._max_iter = max_iter
        super().__init__(optimizer, last_epoch=last_iter)

    def state_dict(self) -> dict[str, Any]:
        """What changes during training; the schedule itself comes from the config."""
        return {"base_lrs": self.base_lrs, "last_epoch": self.last_epoch}

    def get_lr(self) -> list[float]:
        """Learning rate of every parameter group at the current iteration."""
        iteration = min(self.last_epoch, self._max_iter - 1)
        factor = self._multiplier(iteration / self._max_iter)
        return [base_lr * factor for base_lr in self.base_lrs]


class WarmupMultiStepLR(LRScheduler):
    """Multiplies the learning rate by ``gamma`` at each milestone, after a warm-up.

    Args:
        optimizer: its groups' learning rates are scheduled.
        milestones: iterations in increasing order.
        gamma: factor at each milestone.
        warmup_factor: factor at iteration 0.
        warmup_iters: iterations until the factor is 1.
        warmup_method: ``"linear"`` or ``"constant"``.
        last_epoch: the iteration before the first one, -1 for a new training.

    Raises:
        ValueError: the milestones are not in increasing order.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        milestones: list[int],
        gamma: float = 0.1,
        warmup_factor: float = 0.001,
        warmup_iters: int = 1000,
        warmup_method: str = "linear",
        last_epoch: int = -1,
    ) -> None:
        if list(milestones) != sorted(milestones):
            raise ValueError(f"milestones must increase, got {milestones}")
        self.milestones, self.gamma = milestones, gamma
        self.warmup_method, self.warmup_iters, self.warmup_factor = warmup_method, warmup_iters, warmup_factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Learning rate of every parameter group at the current iteration."""
        warmup = _get_warmup_factor_at_iter(self.warmup_method, self.last_epoch, self.warmup_iters, self.warmup_factor)
        decay = self.gamma ** bisect_right(self.milestones, self.last_epoch)
        return [base_lr * warmup * decay for base_lr in self.base_lrs]


class WarmupCosineLR(LRScheduler):
    """Half a cosine period from the initial learning rate to zero, after a warm-up (arXiv:1608.03983, eq. 5).

    Args:
        optimizer: its groups' learning rates are scheduled.
        max_iters: iteration at which zero is reached.
        warmup_factor: factor at iteration 0.
        warmup_iters: iterations until the factor is 1.
        warmup_method: ``"linear"`` or ``"constant"``.
        last_epoch: the iteration before the first one, -1 for a new training.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        max_iters: int,
        warmup_factor: float = 0.001,
        warmup_iters: int = 1000,
        warmup_method: str = "linear",
        last_epoch: int = -1,
    ) -> None:
        self.max_iters = max_iters
        self.warmup_factor = warmup_factor
        self.warmup_iters = warmup_iters
        self.warmup_method = warmup_method
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Learning rate of every parameter group at the current iteration."""
        warmup = _get_warmup_factor_at_iter(self.warmup_method, self.last_epoch, self.warmup_iters, self.warmup_factor)
        cosine = (1.0 + math.cos(math.pi * self.last_epoch / self.max_iters)) / 2
        return [base_lr * warmup * cosine for base_lr in self.base_lrs]


def _get_warmup_factor_at_iter(method: str, iter: int, warmup_iters: int, warmup_factor: float) -> float:
    """Factor on the learning rate at an iteration: from ``warmup_factor`` to 1 over ``warmup_iters`` iterations."""
    if iter >= warmup_iters:
        return 1.0
    if method == "constant":
        return warmup_factor
    if method == "linear":
        progress = iter / warmup_iters
        return warmup_factor + (1.0 - warmup_factor) * progress
    raise ValueError(f"warmup_method {method!r} is unknown: use 'linear' or 'constant'")
