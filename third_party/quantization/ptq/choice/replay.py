"""Running a model again from the middle: what was computed before a layer is taken from a former run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...transform.layers import is_quantized

Forward = Callable[..., Any]


@dataclass
class _Call:
    """One call of a module; its number is that of its start, all calls inside it come before ``end``."""

    module: nn.Module
    end: int = -1
    output: Any = None
    versions: tuple[int, ...] = ()

    @property
    def kept(self) -> bool:
        return self.output is not None


class PrefixReplay:
    """Records the calls of a model's modules and gives their outputs back in later runs, up to a chosen call.

    The calls of a run are numbered as they begin. A call that has ended before a layer begins cannot depend on what
    that layer gives, whatever the model's structure. Only outputs made of tensors are kept; modules with other outputs
    run again, with those inside them answered.

    Use it in a ``with`` block and without gradients.

    Args:
        model: its modules' ``forward`` is wrapped within the block.
        budget: bytes of outputs that are kept at most; calls beyond it run again.
    """

    def __init__(self, model: nn.Module, budget: int = 2**30) -> None:
        self.budget = budget
        inside = {id(m) for layer in model.modules() if is_quantized(layer) for m in layer.modules() if m is not layer}
        self._modules = [m for m in model.modules() if m is not model and id(m) not in inside]
        self._calls: list[_Call] = []
        self._mode = "plain"
        self._cursor = self._until = 0
        self._kept = 0
        self._seen: set[int] = set()

    def __enter__(self) -> "PrefixReplay":
        for module in self._modules:
            module.__dict__["forward"] = self._wrap(module, module.forward)
        return self

    def __exit__(self, *_: object) -> None:
        for module in self._modules:
            del module.__dict__["forward"]
        self.forget()

    def record(self, run: Callable[[], Any]) -> Any:
        """Run and keep the outputs; what was kept before is forgotten."""
        self.forget()
        self._mode = "record"
        try:
            result = run()
        finally:
            self._mode = "plain"
        for call in self._calls:  # a tensor that was changed in place afterwards is not what the module gave
            if call.kept and _versions(call.output) != call.versions:
                call.output = None
        return result

    def position(self, modules: Iterable[nn.Module]) -> int | None:
        """Number of the first call of any of the modules; None if none was called."""
        wanted = {id(module) for module in modules}
        return next((number for number, call in enumerate(self._calls) if id(call.module) in wanted), None)

    def run_from(self, position: int, run: Callable[[], Any]) -> Any:
        """Run, taking the outputs of calls that ended before call ``position`` from the record."""
        self._mode, self._cursor, self._until = "replay", 0, position
        try:
            return run()
        finally:
            self._mode = "plain"

    def forget(self) -> None:
        """Give the memory back."""
        self._calls, self._kept, self._seen = [], 0, set()

    @property
    def kept_bytes(self) -> int:
        """Bytes of outputs that are kept."""
        return self._kept

    def _wrap(self, module: nn.Module, forward: Forward) -> Forward:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if self._mode == "record":
                return self._recorded(module, forward, args, kwargs)
            if self._mode == "replay" and self._cursor < self._until:
                return self._answered(module, forward, args, kwargs)
            return forward(*args, **kwargs)

        return wrapped

    def _recorded(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        call = _Call(module)
        self._calls.append(call)
        output = forward(*args, **kwargs)
        call.end = len(self._calls)
        tensors = _tensors(output)
        if tensors is not None:
            size = sum(t.numel() * t.element_size() for t in tensors if id(t) not in self._seen)
            if self._kept + size <= self.budget:
                self._kept += size
                self._seen.update(id(t) for t in tensors)
                # Containers anew: the model may add to a list that it was given.
                call.output = _rebuilt(output, lambda tensor: tensor)
                call.versions = tuple(t._version for t in tensors)
        return output

    def _answered(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        number = self._cursor
        call = self._calls[number]
        if call.module is not module:
            raise RuntimeError("the model called other modules than before, ahead of the layer that was changed")
        if call.kept and call.end <= self._until:
            self._cursor = call.end
            return _copied(call.output)
        self._cursor += 1
        return forward(*args, **kwargs)


def _tensors(value: Any) -> list[Tensor] | None:
    """The tensors that a value consists of; None if it holds anything else."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, (list, tuple)) or hasattr(value, "_fields"):
        return None
    found: list[Tensor] = []
    for item in value:
        inner = _tensors(item)
        if inner is None:
            return None
        found += inner
    return found


def _versions(value: Any) -> tuple[int, ...]:
    return tuple(tensor._version for tensor in _tensors(value) or [])


def _copied(value: Any) -> Any:
    """The value with copies of its tensors, which the model may change in place."""
    return _rebuilt(value, lambda tensor: torch.empty_like(tensor).copy_(tensor))


def _rebuilt(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _rebuilt(item, change) for key, item in value.items()}
    return type(value)(_rebuilt(item, change) for item in value)
