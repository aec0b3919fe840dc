"""Pairs of layers between which every channel can be scaled freely."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ..modules import QuantLayer
from ..transform.flow import float_evaluation

# f(s x) = s f(x) for s > 0, channel by channel.
_HOMOGENEOUS: set[Any] = {F.relu, torch.relu, torch.relu_, F.relu_, Tensor.relu, Tensor.relu_, F.max_pool2d}
_HOMOGENEOUS_MODULES = (nn.ReLU, nn.Identity)


def scalable_pairs(model: nn.Module, run: Callable[[], object]) -> list[tuple[str, str]]:
    """Layers a, b of a model such that b reads what a gives and nothing else does.

    Between them are at most ReLU and max pooling, so that channels of a may be divided by positive numbers if the
    weights of b are multiplied by them. The model is run once, and every function that a tensor is given to counts.

    Args:
        model: prepared.
        run: calls it on an example.

    Returns:
        names of both, in the order in which they are called.
    """
    watch = _Watch(model)
    with float_evaluation(model), _hooks(watch, model), watch:
        result = run()
    for leaf in tree_leaves(result):
        watch.use(leaf)
    names = {layer: name for name, layer in model.named_modules() if isinstance(layer, QuantLayer)}
    return [(names[a], names[b]) for a, b in watch.pairs()]


class _Watch(TorchFunctionMode):
    """Follows outputs of layers from function to function."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._held: list[Tensor] = []
        self._maker: dict[int, QuantLayer] = {}
        self._users: dict[QuantLayer, list[QuantLayer | None]] = {}
        self._calls: dict[QuantLayer, int] = {}
        self._inside: QuantLayer | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._inside is not None or not any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            return result  # layers tell themselves what they read; questions about a tensor do not use it
        makers = {self._maker.get(id(leaf)) for leaf in tree_leaves((args, kwargs))} - {None}
        if func in _HOMOGENEOUS and isinstance(result, Tensor) and len(makers) == 1:
            if id(result) != id(args[0]):
                self._users.setdefault(next(iter(makers)), [])  # type: ignore[arg-type]
                self.made(next(iter(makers)), result)  # type: ignore[arg-type]
            return result
        for leaf in tree_leaves((args, kwargs)):
            self.use(leaf)
        return result

    def made(self, layer: QuantLayer, output: Tensor) -> None:
        self._held.append(output)  # its number must not be given to another tensor
        self._maker[id(output)] = layer

    def use(self, value: Any, by: QuantLayer | None = None) -> None:
        if isinstance(value, Tensor) and (maker := self._maker.get(id(value))) is not None:
            self._users.setdefault(maker, []).append(by)

    def begin(self, layer: QuantLayer, args: Any) -> None:
        for leaf in tree_leaves(args):
            self.use(leaf, layer)
        self._inside = layer

    def end(self, layer: QuantLayer, output: Tensor) -> None:
        self._inside = None
        self._calls[layer] = self._calls.get(layer, 0) + 1
        self.made(layer, output)

    def pairs(self) -> Iterator[tuple[QuantLayer, QuantLayer]]:
        for layer, users in self._users.items():
            reader = users[0] if len(users) == 1 else None
            if reader is not None and self._calls[layer] == self._calls[reader] == 1 and _is_homogeneous(layer):
                yield layer, reader


def _is_homogeneous(layer: QuantLayer) -> bool:
    function = layer.activation
    return function is None or isinstance(function, _HOMOGENEOUS_MODULES) or function in _HOMOGENEOUS


@contextmanager
def _hooks(watch: _Watch, model: nn.Module) -> Iterator[None]:
    handles = []
    for layer in model.modules():
        if isinstance(layer, QuantLayer):
            handles.append(layer.register_forward_pre_hook(lambda m, args: watch.begin(m, args)))
            handles.append(layer.register_forward_hook(lambda m, _, y: watch.end(m, y)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
