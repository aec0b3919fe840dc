"""Exponential moving average of a model's state."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from detectron2.engine.model_state import unwrap

__all__ = ["ModelEMA", "ramped_decay"]


def ramped_decay(decay: float, tau: float, updates: int) -> float:
    """``decay * (1 - exp(-updates / tau))``: small at first, so that the random start is soon forgotten."""
    return decay * (1.0 - math.exp(-updates / tau)) if tau > 0 else decay


class ModelEMA:
    """The average of all floating-point weights and buffers; other buffers are those of the model.

    After update t it is ``d(t) * average + (1 - d(t)) * model`` with ``d`` of :func:`ramped_decay`.

    Args:
        model: may be wrapped for data parallelism. Weights that appear later, or in another shape, join as they are.
        decay: in [0, 1).
        tau: updates over which the decay ramps up; 0 for a constant decay.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(self, model: nn.Module, decay: float = 0.9999, tau: float = 2000.0) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay of the average (EMA.DECAY) is {decay}, but must lie in [0, 1)")
        if tau < 0:
            raise ValueError(f"tau of the average (EMA.TAU) is {tau}, but must not be negative")
        self._model = model
        self.decay = decay
        self.tau = tau
        self.updates = 0
        self._average = _copy(self._current())
        self._raw: dict[str, torch.Tensor] | None = None

    @classmethod
    def from_node(cls, node: Mapping[str, Any], model: nn.Module) -> "ModelEMA":
        """From ``MODEL.YOLO.TRAINING.EMA``."""
        return cls(model, node["DECAY"], node["TAU"])

    def _current(self) -> dict[str, torch.Tensor]:
        """The model's own tensors by name."""
        state = unwrap(self._model).state_dict()
        return {name: value.detach() for name, value in state.items() if isinstance(value, torch.Tensor)}

    @property
    def average(self) -> dict[str, torch.Tensor]:
        """The averaged state dict; its tensors change with the next update."""
        return self._average

    @property
    def swapped(self) -> bool:
        """Whether the model holds the average at the moment."""
        return self._raw is not None

    def restart(self) -> None:
        """Begins anew with the model's present state."""
        self.updates = 0
        self._average = _copy(self._current())

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the model's state; call it after each step of the optimizer.

        Raises:
            RuntimeError: the model holds the average.
        """
        if self.swapped:
            raise RuntimeError("the average cannot be updated while the model holds it")
        self.updates += 1
        weight = 1.0 - ramped_decay(self.decay, self.tau, self.updates)
        current = self._current()
        averages, values = [], []
        for name in list(self._average):
            if name not in current:
                del self._average[name]
        for name, value in current.items():
            own = self._average.get(name)
            if own is None or own.shape != value.shape or own.dtype != value.dtype or own.device != value.device:
                self._average[name] = value.clone()
            elif value.is_floating_point():
                averages.append(own)
                values.append(value)
            else:
                own.copy_(value)
        if averages:
            torch._foreach_lerp_(averages, values, weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average within the block, and afterwards what it held before, whatever happens.

        Blocks may be nested: the inner ones change nothing.
        """
        if self.swapped:
            yield
            return
        current = self._current()
        self._raw = _copy(current)
        try:
            _write(current, self._average)
            yield
        finally:
            _write(self._current(), self._raw)
            self._raw = None

    def state_dict(self) -> dict[str, Any]:
        """Number of updates and tensors: the average, or where the model holds it, the model's own weights."""
        if self._raw is not None:
            return {"updates": self.updates, "holds": "weights", "tensors": _copy(self._raw)}
        return {"updates": self.updates, "holds": "average", "tensors": _copy(self._average)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave; the model has to be loaded already.

        Where a checkpoint was written with the average as its model, the model gets its own weights back.
        """
        self.updates = state["updates"]
        current = self._current()
        # A weight that the state does not know is its own average.
        self._average = _copy(current)
        if state["holds"] == "weights":
            _write(current, state["tensors"])
        else:
            _write(self._average, state["tensors"])


def _copy(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


@torch.no_grad()
def _write(target: Mapping[str, torch.Tensor], source: Mapping[str, torch.Tensor]) -> None:
    """Copies tensors into those of the same name and shape."""
    for name, value in target.items():
        given = source.get(name)
        if given is not None and given.shape == value.shape:
            value.copy_(given)
