"""Training in mixed precision."""

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from detectron2.utils.events import get_event_storage

from .simple_trainer import SimpleTrainer

logger = logging.getLogger("detectron2.engine.train_loop")


class AMPTrainer(SimpleTrainer):
    """Like :class:`SimpleTrainer`, with the forward pass in float16 or bfloat16 where that is safe.

    float16 has a small exponent range, so its losses are scaled up (arXiv:1710.03740, section 3.2); bfloat16 needs
    no scaling. A step whose float16 gradients overflow is skipped and the scale made smaller. Works on a GPU and on a
    CPU.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[Any],
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        grad_scaler: torch.amp.GradScaler | None = None,
        precision: torch.dtype = torch.float16,
        log_grad_scaler: bool = False,
        async_write_metrics: bool = False,
        *,
        accumulation_steps: int = 1,
    ) -> None:
        """
        Args:
            model, data_loader, optimizer, gather_metric_period, zero_grad_before_forward, async_write_metrics,
                accumulation_steps: as in :class:`SimpleTrainer`.
            grad_scaler: scales the loss; by default one that works for float16 only.
            precision: ``torch.float16`` or ``torch.bfloat16``.
            log_grad_scaler: put the scale into the event storage.

        Raises:
            ValueError: another precision, or one process drives several GPUs.
        """
        if precision not in (torch.float16, torch.bfloat16):
            raise ValueError(f"precision must be torch.float16 or torch.bfloat16, got {precision}")
        several = isinstance(model, DataParallel) or (
            isinstance(model, DistributedDataParallel) and len(model.device_ids or ()) > 1
        )
        if several:
            raise ValueError("AMPTrainer needs one process a GPU: the precision context does not reach other threads")
        super().__init__(
            model,
            data_loader,
            optimizer,
            gather_metric_period,
            zero_grad_before_forward,
            async_write_metrics,
            accumulation_steps=accumulation_steps,
        )
        first = next(model.parameters(), None)
        self._device_type = "cpu" if first is None else first.device.type
        if grad_scaler is None:
            grad_scaler = torch.amp.GradScaler(self._device_type, enabled=precision == torch.float16)
        self.grad_scaler = grad_scaler
        self.precision = precision
        self.log_grad_scaler = log_grad_scaler

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast(self._device_type, dtype=self.precision)

    def _backward(self, losses: torch.Tensor) -> None:
        self.grad_scaler.scale(losses).backward()

    def _optimizer_step(self) -> None:
        if self.log_grad_scaler:
            get_event_storage().put_scalar("[metric]/grad_scaler", self.grad_scaler.get_scale())
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The base's state and the ``grad_scaler``'s."""
        state = super().state_dict()
        state["grad_scaler"] = self.grad_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave; a run in full precision, or bfloat16, has no scale to restore."""
        super().load_state_dict(state_dict)
        if scaler_state := state_dict.get("grad_scaler"):
            self.grad_scaler.load_state_dict(scaler_state)
