"""The hook that ends a training which does not get better any more."""

import logging
import math
from typing import Any

from detectron2.engine.trainer_base import HookBase
from detectron2.utils import comm

from .checkpointing import better_than

logger = logging.getLogger("detectron2.engine.hooks")


class EarlyStoppingHook(HookBase):
    """Ends the training when a metric has not got better for a number of evaluations.

    Register it after the hook that makes the metric and before the one that saves checkpoints.

    Args:
        metric: name in the event storage, e.g. ``"bbox/AP"``.
        mode: ``"max"`` or ``"min"``.
        patience: evaluations without improvement to put up with.
        min_delta: how much better than the best a value must be to count.
        period: iterations between two looks. All processes look together, only the main one has the metric.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self, metric: str, mode: str = "max", patience: int = 5, min_delta: float = 0.0, *, period: int = 1
    ) -> None:
        if patience < 1 or min_delta < 0 or period < 1:
            raise ValueError(
                "patience and period must be at least 1 and min_delta not negative, "
                f"got {patience}, {period} and {min_delta}"
            )
        self._metric = metric
        self._compare = better_than(mode)
        self._margin = min_delta if mode == "max" else -min_delta
        self._patience = patience
        self._period = period
        self.best: float | None = None
        self.evaluations_without_improvement = 0
        self.stopped = False
        self._seen_iter = -1

    def before_train(self) -> None:
        if self.stopped:
            logger.info("%s had stopped getting better: this training has ended already", self._metric)
            self.trainer.max_iter = self.trainer.iter

    def after_step(self) -> None:
        if (self.trainer.iter + 1) % self._period:
            return
        if comm.is_main_process():
            self._look()
        self.stopped = comm.all_gather(self.stopped)[0]
        if self.stopped:
            self.trainer.max_iter = self.trainer.iter + 1

    def _look(self) -> None:
        value, iteration = self.trainer.storage.latest().get(self._metric, (math.nan, -1))
        if iteration <= self._seen_iter:
            return
        self._seen_iter = iteration
        # A value that is not a number is no improvement, and as the first best it would never be beaten.
        if math.isfinite(value) and (self.best is None or self._compare(value, self.best + self._margin)):
            self.best = value
            self.evaluations_without_improvement = 0
            return
        self.evaluations_without_improvement += 1
        self.stopped = self.evaluations_without_improvement >= self._patience
        if self.stopped:
            logger.info(
                "Stopping after iteration %d: %s has not got better than %s in %d evaluations",
                self.trainer.iter,
                self._metric,
                self.best,
                self._patience,
            )

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "evaluations_without_improvement": self.evaluations_without_improvement,
            "stopped": self.stopped,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]
        self.evaluations_without_improvement = state_dict["evaluations_without_improvement"]
        self.stopped = state_dict["stopped"]
