"""Keeping optimizers off ranges that are frozen or being observed."""

from typing import Any

from torch import nn
from torch.optim import Optimizer

from ..quantizers.processes import is_distributed
from ..quantizers.quantizer import Quantizer


class RangeHold:
    """Drops the gradients of held ranges just before each optimizer step.

    An optimizer passes over a parameter without gradient, momentum and weight decay included. Held are the parameters
    of frozen quantizers, and those of :attr:`observing`.

    Attributes:
        observing: quantizers whose range is being averaged over data.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        self.model = model
        self.observing: list[Quantizer] = []
        self._handle = optimizer.register_step_pre_hook(self._drop) if optimizer is not None else None

    def keep_in_graph(self) -> None:
        """With several processes: let frozen ranges have gradients, which a parallel wrapper would wait for."""
        if is_distributed() and self._handle is not None:
            for quantizer in self._held():
                for parameter in quantizer.parameters(recurse=False):
                    parameter.requires_grad_(True)

    def close(self) -> None:
        """Take the hook off the optimizer."""
        if self._handle is not None:
            self._handle.remove()

    def _held(self) -> list[Quantizer]:
        frozen = [m for m in self.model.modules() if isinstance(m, Quantizer) and m.frozen]
        return [*frozen, *self.observing]

    def _drop(self, *_: Any) -> None:
        for quantizer in self._held():
            for parameter in quantizer.parameters(recurse=False):
                parameter.grad = None
