"""The hook that recomputes batch-norm statistics."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from detectron2.engine.model_state import collect_training_state, load_training_state
from detectron2.engine.rng import preserve_rng
from detectron2.engine.trainer_base import HookBase
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from detectron2.utils.fvcore_nn import get_bn_modules, update_bn_stats

logger = logging.getLogger("detectron2.engine.hooks")


class PreciseBN(HookBase):
    """Replaces the running statistics of batch norms by averages over many batches with the weights at hand.

    Useful where the running average lags behind the weights (arXiv:2105.07576, section 3). Register it before the
    evaluation and the checkpoints, which need the statistics.

    Args:
        period: iterations between two updates; 0 for none but the last.
        model: with batch norms in training mode; without any the hook does nothing.
        data_loader: an endless source of training batches.
        num_iter: batches to average over.
    """

    def __init__(self, period: int, model: nn.Module, data_loader: Iterable[Any], num_iter: int) -> None:
        self._disabled = not get_bn_modules(model)
        if self._disabled:
            logger.info("PreciseBN has nothing to do: the model has no batch norm in training mode")
        self._period = period
        self._model = model
        self._data_loader = data_loader
        self._num_iter = num_iter
        self._data_iter: Iterator[Any] | None = None

    def after_step(self) -> None:
        next_iter = self.trainer.iter + 1
        last = next_iter == self.trainer.max_iter
        if last or (self._period > 0 and next_iter % self._period == 0):
            self.update_stats()

    def update_stats(self) -> None:
        """Recomputes the statistics now."""
        if self._disabled:
            return
        logger.info("PreciseBN: averaging the statistics of %d batches", self._num_iter)
        other_state = collect_training_state(self._model)
        # A storage of its own: what the model logs here does not belong to the training.
        with preserve_rng(), EventStorage(start_iter=1):
            if self._data_iter is None:
                self._data_iter = iter(self._data_loader)
            update_bn_stats(self._model, itertools.islice(self._data_iter, self._num_iter), self._num_iter)
        load_training_state(self._model, other_state)

    def state_dict(self) -> dict[str, Any]:
        if self._disabled or not hasattr(self._data_loader, "state_dict"):
            return {}
        return {"loader": self._data_loader.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # The position is that of the main process, whose statistics are the ones that checkpoints hold.
        if comm.is_main_process() and hasattr(self._data_loader, "load_state_dict"):
            self._data_loader.load_state_dict(state_dict["loader"])
            self._data_iter = None
