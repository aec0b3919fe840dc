"""The hook that measures the training's loss on other data."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from detectron2.engine.model_state import no_trace, unwrap
from detectron2.engine.trainer_base import HookBase
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng

logger = logging.getLogger("detectron2.engine.hooks")


class ValidationLossHook(HookBase):
    """Logs the loss on validation data: ``validation_loss`` and each of its parts as ``validation_loss/<part>``.

    The model runs in training mode without gradients. Running statistics, loss normalizers and random generators
    are afterwards as they were. Random choices inside the model are the same at every call.

    Args:
        period: iterations between two measurements; one more comes with the last iteration.
        data_loader_builder: builds a loader of batches with annotations; called at each measurement.
        model: returns its losses in training mode.
        max_iter: batches (a process) to use, 0 for all.
    """

    def __init__(
        self,
        period: int,
        data_loader_builder: Callable[[], Iterable[Any]],
        model: nn.Module,
        max_iter: int = 0,
    ) -> None:
        self._period = period
        self._build_loader = data_loader_builder
        self._model = model
        self._max_iter = max_iter

    def after_step(self) -> None:
        next_iter = self.trainer.iter + 1
        due = self._period > 0 and next_iter % self._period == 0
        if due or next_iter == self.trainer.max_iter:
            self._do_loss_eval()

    def _do_loss_eval(self) -> None:
        sums: dict[str, float] = {}
        batches = 0
        model = unwrap(self._model)
        with no_trace(model):
            seed_all_rng(0)
            loader = self._build_loader()
            limit = self._number_of_batches(loader)
            for data in loader:
                if batches == limit:
                    break
                for name, value in self._get_loss(model, data).items():
                    sums[name] = sums.get(name, 0.0) + value
                batches += 1
        gathered = comm.gather((sums, batches))
        total_batches = sum(count for _, count in gathered)
        if not comm.is_main_process():
            return
        if total_batches == 0:
            logger.warning("No validation loss: the validation data gave no batch")
            return
        names = dict.fromkeys(name for part, _ in gathered for name in part)
        means = {name: sum(part.get(name, 0.0) for part, _ in gathered) / total_batches for name in names}
        scalars = {f"validation_loss/{name}": value for name, value in means.items()}
        self.trainer.storage.put_scalars(**{"validation_loss": sum(means.values()), **scalars}, smoothing_hint=False)

    def _get_loss(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Losses of one batch by name."""
        losses = model(data)
        if isinstance(losses, torch.Tensor):
            losses = {"total_loss": losses}
        return {name: float(value) for name, value in losses.items()}

    def _number_of_batches(self, loader: Iterable[Any]) -> int:
        """The same on all processes, because some norms exchange statistics in each forward pass. -1: no limit."""
        length = len(loader) if hasattr(loader, "__len__") else -1
        limit = length if self._max_iter == 0 or 0 <= length < self._max_iter else self._max_iter
        return min(comm.all_gather(limit))
