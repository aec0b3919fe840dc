"""Hooks that save checkpoints."""

import logging
import math
import operator
import os
from typing import Any

from fvcore.common.checkpoint import Checkpointer
from fvcore.common.checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer

from detectron2.engine.trainer_base import HookBase
from detectron2.utils import comm

logger = logging.getLogger("detectron2.engine.hooks")


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """fvcore's periodic checkpointer as a hook: ``model_<iteration>`` every period, ``model_final`` at the end."""

    def before_train(self) -> None:
        self.max_iter = self.trainer.max_iter

    def after_step(self) -> None:
        # Asked anew: a hook called before this one may have decided that this iteration is the last.
        self.max_iter = self.trainer.max_iter
        self.step(self.trainer.iter)


class BestCheckpointer(HookBase):
    """Keeps a checkpoint of the best value of a metric. Register it after the hook that makes the metric.

    Args:
        eval_period: iterations between two looks at the metric, as the evaluation's.
        checkpointer: saves; a resumed training still starts from the newest checkpoint, not from the best.
        val_metric: name in the event storage, e.g. ``"bbox/AP50"``.
        mode: ``"max"`` or ``"min"``.
        file_prefix: name of the file.

    Raises:
        ValueError: another mode.
    """

    def __init__(
        self,
        eval_period: int,
        checkpointer: Checkpointer,
        val_metric: str,
        mode: str = "max",
        file_prefix: str = "model_best",
    ) -> None:
        self._period = eval_period
        self._val_metric = val_metric
        self._compare = better_than(mode)
        self._checkpointer = checkpointer
        self._file_prefix = file_prefix
        self.best_metric: float | None = None
        self.best_iter: int | None = None

    def after_step(self) -> None:
        next_iter = self.trainer.iter + 1
        if self._period > 0 and next_iter % self._period == 0 and next_iter != self.trainer.max_iter:
            self._best_checking()

    def after_train(self) -> None:
        # The last evaluation comes after the last step; none comes after a failed training.
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            self._best_checking()

    def _best_checking(self) -> None:
        if not comm.is_main_process():
            return  # only the main process has results
        latest = self.trainer.storage.latest().get(self._val_metric)
        if latest is None:
            logger.warning(
                "No value of %s to compare: it is not among the metrics of the evaluation, so no %s is saved",
                self._val_metric,
                self._file_prefix,
            )
            return
        value, iteration = latest
        if not math.isfinite(value) or (self.best_metric is not None and not self._compare(value, self.best_metric)):
            logger.info("%s is %.5f, not better than %s", self._val_metric, value, self.best_metric)
            return
        logger.info("%s is %.5f, the best so far (before: %s)", self._val_metric, value, self.best_metric)
        self.best_metric, self.best_iter = value, iteration
        newest = self._checkpointer.get_checkpoint_file() if self._checkpointer.has_checkpoint() else ""
        self._checkpointer.save(self._file_prefix, iteration=iteration)
        if newest:
            self._checkpointer.tag_last_checkpoint(os.path.basename(newest))

    def state_dict(self) -> dict[str, Any]:
        return {"best_metric": self.best_metric, "best_iter": self.best_iter}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_metric, self.best_iter = state_dict["best_metric"], state_dict["best_iter"]


def better_than(mode: str) -> Any:
    """The comparison ``better(a, b)`` of a mode, ``"max"`` or ``"min"``."""
    comparisons = {"max": operator.gt, "min": operator.lt}
    if mode not in comparisons:
        raise ValueError(f"mode is {mode!r}, allowed are 'max' and 'min'")
    return comparisons[mode]
