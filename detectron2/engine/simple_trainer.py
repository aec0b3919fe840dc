"""One optimizer, one model, one source of data: the step of most trainings."""

import concurrent.futures
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from detectron2.utils import comm
from detectron2.utils.events import get_event_storage

from .nonfinite import ForwardRecord, explain_non_finite_loss
from .rng import get_rng_state, preserve_rng
from .trainer_base import TrainerBase

logger = logging.getLogger("detectron2.engine.train_loop")


class SimpleTrainer(TrainerBase):
    """Each iteration: data, forward pass, sum of losses, backward pass, optimizer step.

    Anything else (learning-rate schedule, checkpoints, evaluation) is a matter of hooks; another kind of step a
    subclass with its own ``run_step``.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[Any],
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        async_write_metrics: bool = False,
        *,
        accumulation_steps: int = 1,
    ) -> None:
        """
        Args:
            model: takes what the loader yields, returns a loss or a dict of losses. Set to training mode here.
            data_loader: an endless source of batches.
            optimizer: over the model's parameters.
            gather_metric_period: every how many iterations metrics are collected from all processes.
            zero_grad_before_forward: clear the gradients before the forward pass, not after it.
            async_write_metrics: collect metrics in a thread, so that a GPU is not waited for. One process only:
                several processes collect in step, whatever is asked here.
            accumulation_steps: batches an iteration; their gradients are averaged.

        Raises:
            ValueError: ``accumulation_steps`` is not positive.
        """
        super().__init__()
        if accumulation_steps < 1:
            raise ValueError(f"accumulation_steps must be at least 1, got {accumulation_steps}")
        model.train()
        self.model = model
        self.data_loader = data_loader
        self._data_loader_iter_obj: Iterator[Any] | None = None
        self.optimizer = optimizer
        self.gather_metric_period = gather_metric_period
        self.zero_grad_before_forward = zero_grad_before_forward
        self.async_write_metrics = async_write_metrics
        self.accumulation_steps = accumulation_steps
        # Losses beside the model's own, asked for after each of its forward passes.
        self.extra_losses: Callable[[], dict[str, torch.Tensor]] | None = None
        self.concurrent_executor = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._pending_metrics: tuple[concurrent.futures.Future, list[ForwardRecord]] | None = None
        self._forward_records: list[ForwardRecord] = []

    def run_step(self) -> None:
        """One optimizer step over ``accumulation_steps`` batches.

        Raises:
            RuntimeError: somebody left the model in evaluation mode.
            FloatingPointError: the loss is not finite; the message names the images and the module.
        """
        if not self.model.training:
            raise RuntimeError("the model is in evaluation mode: call model.train() after an evaluation")
        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        self._forward_records = []
        loss_dicts, data_time = [], 0.0
        for index in range(self.accumulation_steps):
            start = time.perf_counter()
            data = next(self._data_loader_iter)
            data_time += time.perf_counter() - start
            self._forward_records.append(ForwardRecord(data, get_rng_state()))
            with self._gradient_exchange(last=index == self.accumulation_steps - 1):
                losses, loss_dict = self._forward(data)
                if index == 0 and not self.zero_grad_before_forward:
                    self.optimizer.zero_grad()
                self._backward(losses if self.accumulation_steps == 1 else losses / self.accumulation_steps)
            loss_dicts.append(loss_dict)
        self.after_backward()
        self._write_metrics(_mean_losses(loss_dicts), data_time)
        self._optimizer_step()

    def _forward(self, data: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(sum of losses, losses by name) of a batch."""
        try:
            with self._autocast():
                output = self.model(data)
        except FloatingPointError as error:
            # Detectors look at their proposals before there is a loss. The other processes do not know of this one.
            bad = FloatingPointError(f"{error} (iteration {self.iter})")
            self._raise_explained(bad, self._forward_records, everywhere=False)
        losses = {"total_loss": output} if isinstance(output, torch.Tensor) else dict(output)
        if self.extra_losses is not None:
            losses.update(self.extra_losses())
        return sum(losses.values()), losses

    def _autocast(self) -> AbstractContextManager:
        """Precision of the forward pass."""
        return contextlib.nullcontext()

    def _backward(self, losses: torch.Tensor) -> None:
        losses.backward()

    def _optimizer_step(self) -> None:
        self.optimizer.step()

    def _gradient_exchange(self, last: bool) -> AbstractContextManager:
        """Gradients of several batches are summed locally and exchanged with the last one."""
        if last or not isinstance(self.model, DistributedDataParallel):
            return contextlib.nullcontext()
        return self.model.no_sync()

    @property
    def _data_loader_iter(self) -> Iterator[Any]:
        # Made at first use, so that a loader can be built, and put to its position, without starting workers.
        if self._data_loader_iter_obj is None:
            # PyTorch draws a seed for the workers: a resumed training would draw once more than one never stopped.
            with preserve_rng():
                self._data_loader_iter_obj = iter(self.data_loader)
        return self._data_loader_iter_obj

    def reset_data_loader(self, data_loader_builder: Callable[[], Iterable[Any]]) -> None:
        """Goes on with another loader; the old one is released before the new one is built."""
        del self.data_loader
        self._data_loader_iter_obj = None
        self.data_loader = data_loader_builder()

    def _write_metrics(
        self, loss_dict: Mapping[str, torch.Tensor], data_time: float, prefix: str = "", iter: int | None = None
    ) -> None:
        """Collects the metrics of an iteration, by default the current one, if it is due."""
        self._finish_pending_metrics()
        iteration = self.iter if iter is None else iter
        if (iteration + 1) % self.gather_metric_period != 0:
            return
        arguments = (loss_dict, data_time, iteration, prefix)
        if self.async_write_metrics and comm.get_world_size() == 1:
            future = self.concurrent_executor.submit(self.write_metrics, *arguments)
            self._pending_metrics = (future, self._forward_records)
            return
        try:
            self.write_metrics(*arguments)
        except FloatingPointError as error:
            self._raise_explained(error, self._forward_records)

    def _finish_pending_metrics(self) -> None:
        if self._pending_metrics is None:
            return
        future, records = self._pending_metrics
        self._pending_metrics = None
        try:
            future.result()
        except FloatingPointError as error:
            self._raise_explained(error, records, stepped=True)

    def _raise_explained(
        self,
        error: FloatingPointError,
        records: list[ForwardRecord],
        *,
        stepped: bool = False,
        everywhere: bool = True,
    ) -> NoReturn:
        """Raises the error with all that is known about it; ``everywhere``: on all processes at once."""
        explanation = explain_non_finite_loss(self.model, records, self._autocast, stepped)
        by_rank = comm.all_gather(explanation) if everywhere else [explanation]
        if len(by_rank) > 1:
            explanation = "\n".join(f"process {rank}:\n{text}" for rank, text in enumerate(by_rank))
        rates = sorted({group["lr"] for group in self.optimizer.param_groups})
        rates_text = ", ".join(f"{rate:.6g}" for rate in rates)
        raise FloatingPointError(
            f"{error}\n  learning rate: {rates_text}\n{explanation}\n"
            "Common causes: SOLVER.BASE_LR too high for the batch size, too short a warm-up (SOLVER.WARMUP_ITERS), "
            "broken boxes (tools/check_dataset.py). SOLVER.CLIP_GRADIENTS limits the step."
        ) from error

    @staticmethod
    def write_metrics(loss_dict: Mapping[str, torch.Tensor], data_time: float, cur_iter: int, prefix: str = "") -> None:
        """Averages losses over all processes and puts them into the event storage of the main one.

        Args:
            loss_dict: scalar losses.
            data_time: seconds spent waiting for data; the slowest process counts.
            cur_iter: the iteration.
            prefix: goes before the name of the total loss.

        Raises:
            FloatingPointError: the sum of the losses is not finite, on any process.
        """
        metrics = {name: value.detach().cpu().item() for name, value in loss_dict.items()}
        # Not gather: with a bad loss anywhere all processes have to stop, or the others would wait for ever.
        gathered = comm.all_gather((metrics, data_time))
        names = dict.fromkeys(name for losses, _ in gathered for name in losses)
        means = {name: float(np.mean([losses.get(name, 0.0) for losses, _ in gathered])) for name in names}
        total = sum(means.values())
        if not np.isfinite(total):
            raise FloatingPointError(f"The loss is not finite at iteration {cur_iter}: {means}")
        if not comm.is_main_process():
            return
        storage = get_event_storage()
        storage.put_scalar("data_time", max(seconds for _, seconds in gathered), cur_iter=cur_iter)
        storage.put_scalar(f"{prefix}total_loss", total, cur_iter=cur_iter)
        if len(means) > 1:
            storage.put_scalars(cur_iter=cur_iter, **means)

    def after_train(self) -> None:
        """Waits for metrics still on their way, then calls the hooks."""
        try:
            self._finish_pending_metrics()
        finally:
            self.concurrent_executor.shutdown(wait=True)
            super().after_train()

    def state_dict(self) -> dict[str, Any]:
        """The base's state and the ``optimizer``'s."""
        state = super().state_dict()
        state["optimizer"] = self.optimizer.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        super().load_state_dict(state_dict)
        self.optimizer.load_state_dict(state_dict["optimizer"])


def _mean_losses(loss_dicts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Means over the batches of an iteration; a loss missing from a batch counts as zero there."""
    if len(loss_dicts) == 1:
        return loss_dicts[0]
    names = dict.fromkeys(name for losses in loss_dicts for name in losses)
    return {
        name: sum(losses[name].detach() for losses in loss_dicts if name in losses) / len(loss_dicts) for name in names
    }
