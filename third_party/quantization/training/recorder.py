"""Hooks that record what a model is given and what some of its modules give."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Batch:
    """What a model was called with.

    Attributes:
        args, kwargs: its arguments.
        precision: (device type, lower precision or None) of the surrounding autocast.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    precision: tuple[str, torch.dtype | None]

    def autocast(self) -> AbstractContextManager[Any]:
        """The autocast in which the model ran."""
        device, dtype = self.precision
        return torch.autocast(device, dtype=dtype, enabled=dtype is not None)


class _AllSeen(Exception):
    """Ends a forward of which nothing more is needed."""


class Recorder:
    """Records each call's output of some modules, in order, until :meth:`take`.

    Args:
        model: the whole model.
        modules: those to record, by name.
        keeps_input: the model is in training: record in training forwards with gradients only, the last one only, and
            keep its input as well. Otherwise record in :meth:`run_until` only.
    """

    def __init__(self, model: nn.Module, modules: Mapping[str, nn.Module], keeps_input: bool = False) -> None:
        self.model = model
        self._outputs: dict[str, list[Any]] = {}
        self._batch: Batch | None = None
        self._recording = False
        self._wanted: dict[str, int] | None = None
        self._handles = [m.register_forward_hook(self._hook(name)) for name, m in modules.items()]
        if keeps_input:
            self._handles.append(model.register_forward_pre_hook(self._begin, with_kwargs=True))
            self._handles.append(model.register_forward_hook(self._end, always_call=True))

    def _begin(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._recording = model.training and torch.is_grad_enabled()
        if self._recording:
            device = next((p.device.type for p in model.parameters()), "cpu")
            dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
            self._outputs, self._batch = {}, Batch(args, kwargs, (device, dtype))

    def _end(self, *_: Any) -> None:
        self._recording = False

    def _hook(self, name: str) -> Any:
        def record(module: nn.Module, args: Any, output: Any) -> None:
            if not self._recording:
                return
            self._outputs.setdefault(name, []).append(output)
            if self._wanted is not None and all(
                len(self._outputs.get(key, ())) >= count for key, count in self._wanted.items()
            ):
                raise _AllSeen

        return record

    def run_until(self, wanted: dict[str, int], batch: Batch) -> None:
        """Run the model on a batch until each named module has been called so often, recording."""
        self._outputs, self._recording, self._wanted = {}, True, wanted
        try:
            self.model(*batch.args, **batch.kwargs)
        except _AllSeen:
            pass
        finally:
            self._recording, self._wanted = False, None

    def take(self) -> tuple[dict[str, list[Any]], Batch | None]:
        """What was recorded, and the model's input; forgotten here."""
        taken = self._outputs, self._batch
        self._outputs, self._batch = {}, None
        return taken

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self.take()
