"""Which tensor each quantizer reads, and which function made it: seen by running the model."""

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..modules import ConvertedLayer, QuantConcat, QuantLayer, QuantNonlinear, lowest_output
from ..modules.nonlinear import is_nonlinear
from ..quantizers.quantizer import Quantizer
from ..spec.roles import Role
from .registry import passes_through

Key = tuple[int, int]


class TensorFlow:
    """Follows tensors through a model while it is a context: memory, not names, tells which are the same.

    Views are their tensor: a quantizer that reads one part of a map that was split reads that map. So is what comes
    out of modules that only choose among values, and what a quantized concatenation joins is read, joined, by its
    quantizer too. A value changed in place counts as another tensor. All tensors that are followed are held until the
    context ends, since memory that is freed would be given to others.
    """

    def __init__(self, model: nn.Module) -> None:
        """
        Args:
            model: prepared.
        """
        self.model = model
        self._handles: list[RemovableHandle] = []
        self._held: list[Tensor] = []
        self._same: dict[Key, Key] = {}
        self._reads: list[tuple[Quantizer, Key]] = []
        self._joined: set[Key] = set()
        self._lowest: dict[Key, float] = {}

    def __enter__(self) -> "TensorFlow":
        for module in self.model.modules():
            if isinstance(module, Quantizer):
                if module.role is Role.ACTIVATION:
                    self._handles.append(module.register_forward_pre_hook(self._read))
            elif passes_through(module):
                self._handles.append(module.register_forward_hook(self._pass))
            elif isinstance(module, QuantConcat):
                self._handles.append(module.register_forward_hook(self._join))
            elif _bounded(module):
                self._handles.append(module.register_forward_hook(self._made))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._held.clear()

    def readers(self) -> list[list[Quantizer]]:
        """For each tensor the quantizers that read it, each once."""
        found: dict[Key, dict[int, Quantizer]] = {}
        for quantizer, key in self._reads:
            found.setdefault(self._root(key), {})[id(quantizer)] = quantizer
        return [list(quantizers.values()) for quantizers in found.values()]

    def lowest(self) -> dict[Quantizer, float]:
        """The least value of the functions that made all that a quantizer reads; not there if one is unknown."""
        bounds = {self._root(key): value for key, value in self._lowest.items()}
        found: dict[Quantizer, float] = {}
        unknown: set[Quantizer] = set()
        for quantizer, key in self._reads:
            if key in self._joined:
                continue  # its parts have been asked
            if (bound := bounds.get(self._root(key))) is None:
                unknown.add(quantizer)
            else:
                found[quantizer] = min(bound, found.get(quantizer, bound))
        return {quantizer: bound for quantizer, bound in found.items() if quantizer not in unknown}

    def _key(self, x: Any) -> Key | None:
        if not isinstance(x, Tensor) or x.numel() == 0:
            return None
        self._held.append(x)
        # Tensors of inference mode count no changes: there, one changed in place keeps its key.
        return x.untyped_storage().data_ptr(), 0 if x.is_inference() else x._version

    def _root(self, key: Key) -> Key:
        while (parent := self._same.get(key, key)) != key:
            key = parent
        return key

    def _read(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if isinstance(module, Quantizer) and (key := self._key(args[0])) is not None:
            self._reads.append((module, key))

    def _pass(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        before, after = self._key(args[0]), self._key(output)
        if before is not None and after is not None and (root := self._root(before)) != self._root(after):
            self._same[self._root(after)] = root

    def _join(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        key = self._key(output)
        if isinstance(module, QuantConcat) and module.input_quantizer is not None and key is not None:
            self._joined.add(key)
            self._reads.append((module.input_quantizer, key))

    def _made(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        bound = lowest_output(_function_of(module))
        if bound is not None and (key := self._key(output)) is not None:
            self._lowest[key] = bound


def _function_of(module: nn.Module) -> Any:
    return getattr(module, "activation", None) if hasattr(module, "activation") else module


def _bounded(module: nn.Module) -> bool:
    if isinstance(module, (QuantLayer, ConvertedLayer)):
        return True
    return isinstance(module, (QuantNonlinear, nn.ReLU, nn.ReLU6)) or is_nonlinear(module)


@contextlib.contextmanager
def float_evaluation(model: nn.Module, *, weights: bool = True) -> Iterator[None]:
    """In the context the model is in evaluation mode and its quantizers hand tensors through, without gradients.

    Args:
        model: prepared.
        weights: switch off the quantizers of weights as well.
    """
    modes = [(module, module.training) for module in model.modules()]
    quantizers = [module for module in model.modules() if isinstance(module, Quantizer) and module.enabled]
    switched = [quantizer for quantizer in quantizers if weights or quantizer.role is Role.ACTIVATION]
    model.eval()
    for quantizer in switched:
        quantizer.set_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        for quantizer in switched:
            quantizer.set_enabled(True)
        for module, mode in modes:
            module.training = mode


def follow(model: nn.Module, run: Callable[[], object]) -> TensorFlow:
    """Run the float model once and tell how its tensors flow.

    Args:
        model: prepared.
        run: calls the model on an example.
    """
    with float_evaluation(model), TensorFlow(model) as flow:
        run()
    return flow
