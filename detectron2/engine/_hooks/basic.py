"""Hooks of every training: callbacks, timing, the learning-rate schedule, writers."""

import datetime
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from fvcore.common.param_scheduler import ParamScheduler
from fvcore.common.timer import Timer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler

from detectron2.engine.trainer_base import HookBase, TrainerBase
from detectron2.solver import LRMultiplier
from detectron2.utils.events import EventWriter

logger = logging.getLogger("detectron2.engine.hooks")

_Callback = Callable[[TrainerBase], Any]


class CallbackHook(HookBase):
    """Makes a hook of functions that take the trainer.

    Args:
        before_train, after_train, before_step, after_step: called at that time, if given.
    """

    def __init__(
        self,
        *,
        before_train: _Callback | None = None,
        after_train: _Callback | None = None,
        before_step: _Callback | None = None,
        after_step: _Callback | None = None,
    ) -> None:
        self._before_train = before_train
        self._before_step = before_step
        self._after_step = after_step
        self._after_train = after_train

    def _call(self, callback: _Callback | None) -> None:
        if callback is not None:
            callback(self.trainer)

    def before_train(self) -> None:
        self._call(self._before_train)

    def after_train(self) -> None:
        self._call(self._after_train)
        # Callbacks are often closures over the trainer: dropped, so that it can be freed without a collection.
        del self._before_train, self._after_train, self._before_step, self._after_step

    def before_step(self) -> None:
        self._call(self._before_step)

    def after_step(self) -> None:
        self._call(self._after_step)


class IterationTimer(HookBase):
    """Puts the seconds of each iteration into the storage (``time``), and sums them up at the end.

    Args:
        warmup_iter: iterations at the start that do not count; caches and allocators make them slow.
    """

    def __init__(self, warmup_iter: int = 3) -> None:
        self._warmup_iter = warmup_iter
        self._step_timer = Timer()
        self._total_timer = Timer()
        self._restart()

    def before_train(self) -> None:
        self._restart()

    def after_train(self) -> None:
        stepping = self._total_timer.seconds()
        beside = time.perf_counter() - self._start_time - stepping
        if self._counted > 0:
            each = stepping / self._counted
            logger.info(
                "%d iterations in %s (%.4f s each), hooks between them %s",
                self._counted,
                _as_time(stepping),
                each,
                _as_time(beside),
            )

    def before_step(self) -> None:
        self._step_timer.reset()
        self._total_timer.resume()

    def after_step(self) -> None:
        # First of the hooks by convention, so that what the others need is not counted.
        self._total_timer.pause()
        if self.trainer.iter - self.trainer.start_iter >= self._warmup_iter:
            self._counted += 1
            self.trainer.storage.put_scalars(time=self._step_timer.seconds())
        else:
            self._restart()

    def _restart(self) -> None:
        self._counted = 0
        self._start_time = time.perf_counter()
        self._total_timer.reset()
        self._total_timer.pause()


class LRScheduler(HookBase):
    """Steps a learning-rate schedule after each iteration and logs the rate (``lr``).

    Args:
        optimizer: by default the trainer's.
        scheduler: a ``torch`` scheduler, or an fvcore ``ParamScheduler`` of a factor on the learning rates over
            the whole training; by default the trainer's.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: TorchLRScheduler | ParamScheduler | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._scheduler = scheduler

    def before_train(self) -> None:
        self._optimizer = self._optimizer or self.trainer.optimizer
        if isinstance(self.scheduler, ParamScheduler):
            self._scheduler = LRMultiplier(
                self._optimizer, self.scheduler, self.trainer.max_iter, last_iter=self.trainer.iter - 1
            )
        self._best_param_group_id = self.get_best_param_group_id(self._optimizer)

    @staticmethod
    def get_best_param_group_id(optimizer: torch.optim.Optimizer) -> int:
        """The group whose rate stands for all: the largest, or one with the commonest rate if all are single."""
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        if max(sizes) > 1:
            return sizes.index(max(sizes))
        rates = [group["lr"] for group in optimizer.param_groups]
        return rates.index(Counter(rates).most_common(1)[0][0])

    def after_step(self) -> None:
        rate = self._optimizer.param_groups[self._best_param_group_id]["lr"]
        self.trainer.storage.put_scalar("lr", rate, smoothing_hint=False)
        self.scheduler.step()

    @property
    def scheduler(self) -> TorchLRScheduler | ParamScheduler:
        return self._scheduler or self.trainer.scheduler

    def state_dict(self) -> dict[str, Any]:
        if isinstance(self.scheduler, TorchLRScheduler):
            return self.scheduler.state_dict()
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if isinstance(self.scheduler, TorchLRScheduler):
            logger.info("Restoring the learning-rate schedule")
            self.scheduler.load_state_dict(state_dict)


class PeriodicWriter(HookBase):
    """Lets writers write, every so many iterations and at the end.

    Args:
        writers: those to call.
        period: iterations between two writes.

    Raises:
        TypeError: a writer is no ``EventWriter``.
    """

    def __init__(self, writers: Sequence[EventWriter], period: int = 20) -> None:
        for writer in writers:
            if not isinstance(writer, EventWriter):
                raise TypeError(f"{type(writer).__name__} is not an EventWriter")
        self._writers = writers
        self._period = period

    def after_step(self) -> None:
        next_iter = self.trainer.iter + 1
        if next_iter % self._period == 0 or next_iter == self.trainer.max_iter:
            for writer in self._writers:
                writer.write()

    def after_train(self) -> None:
        for writer in self._writers:
            # Hooks before this one may have put something after the last iteration, e.g. a final evaluation.
            writer.write()
            writer.close()


def _as_time(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))
