"""Learning rate and momentum over a training: a shape after a warm-up of each parameter group."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from detectron2.config import CfgNode

__all__ = ["SHAPES", "WarmupSchedule", "build_schedule", "cosine", "cosine_tail", "linear"]

Shape = Callable[[int], float]


def linear(max_iter: int, final: float, warmup_iters: int = 0, tail_iters: int = 0) -> Shape:
    """From 1 at iteration 0 straight to ``final`` at ``max_iter``; the warm-up hides its beginning."""
    return lambda iteration: 1 + (final - 1) * iteration / max_iter


def cosine(max_iter: int, final: float, warmup_iters: int = 0, tail_iters: int = 0) -> Shape:
    """Half a period of a cosine from 1 at iteration 0 to ``final`` at ``max_iter`` (arXiv:1608.03983, equation 5)."""
    return lambda iteration: final + (1 - final) * (1 + math.cos(math.pi * iteration / max_iter)) / 2


def cosine_tail(max_iter: int, final: float, warmup_iters: int = 0, tail_iters: int = 0) -> Shape:
    """Half a cosine from 1 at the end of the warm-up to ``final``, which the last ``tail_iters`` iterations keep."""
    length = max_iter - warmup_iters - tail_iters
    if length < 1:
        raise ValueError(
            f"warm-up ({warmup_iters}) and tail ({tail_iters}) of a cosine_tail leave nothing of {max_iter} iterations"
        )

    def shape(iteration: int) -> float:
        progress = min(max(iteration - warmup_iters, 0) / length, 1.0)
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    return shape


SHAPES: dict[str, Callable[[int, float, int, int], Shape]] = {
    "linear": linear,
    "cosine": cosine,
    "cosine_tail": cosine_tail,
}


class WarmupSchedule(LRScheduler):
    """Rate of a group at iteration t: ``shape(t) * initial rate``, to which a warm-up leads.

    During the warm-up the rate is ``start + (shape(t) * initial rate - start) * (t / warmup_iters) ** power``, where
    ``start`` is the group's option "warmup_lr", 0 without one. A start above the initial rate leads down to it. The
    momentum (the first beta of Adam) rises from ``warmup_momentum`` in the same way.

    Args:
        optimizer: its groups' rates and momenta are set.
        shape: factor by iteration.
        max_iter: later iterations keep the last rate.
        warmup_iters: length of the warm-up, 0 for none.
        warmup_momentum: where the momentum starts; None leaves the momentum alone.
        power: 1 for a linear warm-up, 2 for a quadratic one.
        last_iter: the iteration before the first one, -1 for a new training.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        shape: Shape,
        max_iter: int,
        warmup_iters: int = 0,
        warmup_momentum: float | None = None,
        power: float = 1.0,
        last_iter: int = -1,
    ) -> None:
        if max_iter < 1 or warmup_iters < 0 or power <= 0:
            raise ValueError(
                f"a schedule needs max_iter >= 1, warmup_iters >= 0 and power > 0, got {max_iter}, {warmup_iters} "
                f"and {power}"
            )
        self._shape = shape
        self._max_iter = max_iter
        self._warmup_iters = warmup_iters
        self._warmup_momentum = warmup_momentum
        self._power = power
        self.base_momenta = [g.setdefault("initial_momentum", _momentum(g)) for g in optimizer.param_groups]
        super().__init__(optimizer, last_epoch=last_iter)

    def _progress(self) -> float:
        """Part of the warm-up that is over, with the power; 1 after it."""
        if self.last_epoch >= self._warmup_iters:
            return 1.0
        return (self.last_epoch / self._warmup_iters) ** self._power

    def get_lr(self) -> list[float | torch.Tensor]:
        """Learning rate of every parameter group at the current iteration."""
        factor, progress = self._shape(min(self.last_epoch, self._max_iter - 1)), self._progress()
        starts = [group.get("warmup_lr", 0.0) for group in self.optimizer.param_groups]
        return [
            _between(start, factor * float(base), progress) for start, base in zip(starts, self.base_lrs, strict=True)
        ]

    def step(self, epoch: int | None = None) -> None:
        """Goes on to the next iteration and sets rates and momenta."""
        super().step(epoch)
        if self._warmup_momentum is None:
            return
        progress = self._progress()
        for group, base in zip(self.optimizer.param_groups, self.base_momenta, strict=True):
            if base is not None:
                _set_momentum(group, _between(self._warmup_momentum, base, progress))

    def state_dict(self) -> dict[str, Any]:
        """What changes during training; the schedule itself comes from the config."""
        return {"base_lrs": self.base_lrs, "base_momenta": self.base_momenta, "last_epoch": self.last_epoch}


def _between(start: float, end: float, progress: float) -> float:
    # The end exactly: the sum below may differ from it by rounding.
    return end if progress == 1.0 else start + (end - start) * progress


def _momentum(group: dict[str, Any]) -> float | None:
    if "betas" in group:
        return group["betas"][0]
    return group.get("momentum")


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def build_schedule(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> WarmupSchedule:
    """The schedule of ``MODEL.YOLO.TRAINING.SCHEDULE``, ``SOLVER.MAX_ITER`` and ``SOLVER.WARMUP_ITERS``.

    Raises:
        ValueError: the shape is unknown.
    """
    node, solver = cfg.MODEL.YOLO.TRAINING.SCHEDULE, cfg.SOLVER
    if node.SHAPE not in SHAPES:
        raise ValueError(f"MODEL.YOLO.TRAINING.SCHEDULE.SHAPE is {node.SHAPE!r}, allowed are {sorted(SHAPES)}")
    warmup_iters = min(solver.WARMUP_ITERS, solver.MAX_ITER)
    shape = SHAPES[node.SHAPE](solver.MAX_ITER, node.FINAL, warmup_iters, node.TAIL_ITERS)
    return WarmupSchedule(optimizer, shape, solver.MAX_ITER, warmup_iters, node.WARMUP_MOMENTUM, node.WARMUP_POWER)
