"""The mean error that quantization causes, taken out of the biases."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..modules import QuantLayer
from ..transform.flow import float_evaluation
from .batches import Run, call_model

Means = list[tuple[Tensor, int]]


def correct_biases(
    model: nn.Module,
    batches: Iterable[Any],
    run: Run = call_model,
    *,
    reference: nn.Module | None = None,
    activations: bool = False,
) -> list[str]:
    """Let every channel in front of an activation function have the mean that it has in floating point.

    Bias correction (arXiv 1906.04721, section 4.2) from data (appendix D): ``bias += E[y] - E[quantized y]``, y behind
    the layer's batch norm. Each batch runs twice, in floating point and quantized. In the quantized run a layer is
    corrected, by what all batches so far say, before its output goes on, so that later layers see an input that is
    corrected; one pass does for all layers, in constant memory.

    Rounded weights shift a channel in every image alike. What clipped activations shift hangs on the few images with
    large ones: carried into the biases, it harms all others, so that it is left out unless asked for.

    Args:
        model: prepared, ranges set; changed in place. Quantized layers with neither a bias nor a norm with one stay.
        batches: what ``run`` takes, gone over once.
        run: of model and batch, runs the model.
        reference: the model in floating point with modules of the same names, as :func:`float_copy` makes it. None:
            the model with quantizers off, which is right only if nothing but ranges has been set: neither a second
            call nor a call after reconstruction.
        activations: correct what quantized activations do, too.

    Returns:
        the names of the layers that were corrected.

    Raises:
        ValueError: no batch.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, QuantLayer)}
    open_layers = {name: layer for name, layer in layers.items() if bias_of(layer) is not None}
    means = _Corrections(open_layers)
    source = model if reference is None else reference
    wanted = {name: source.get_submodule(name) for name in open_layers}
    seen = 0
    for batch in batches:
        seen += 1
        means.targets = {name: [] for name in wanted}
        with float_evaluation(source), _tapped(wanted, means.note):
            run(source, batch)
        quantized = _evaluation(model) if activations else float_evaluation(model, weights=False)
        with quantized, _tapped(open_layers, means.correct):
            run(model, batch)
    if not seen:
        raise ValueError("bias correction needs at least one batch, got none")
    return means.apply()


def bias_of(layer: QuantLayer) -> Tensor | None:
    """What is added to each channel in front of the layer's activation, ``Tensor[C_out]``; None if there is none."""
    norm = layer.norm
    found = layer.bias if norm is None else getattr(norm, "bias", None)
    fits = isinstance(found, Tensor) and found.shape == (layer.out_channels_of(layer.weight),)
    return found if fits else None


class _Corrections:
    """Sums of errors, and what is added meanwhile."""

    def __init__(self, layers: dict[str, QuantLayer]) -> None:
        self.layers = layers
        self.targets: dict[str, Means] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def note(self, name: str, y: Tensor) -> Tensor:
        if y.numel():
            self.targets[name].append((_channel_mean(self.layers[name], y), y.numel()))
        return y

    def correct(self, name: str, y: Tensor) -> Tensor:
        layer, waiting = self.layers[name], self.targets[name]
        if not waiting or y.numel() == 0:
            return y
        target, count = waiting.pop(0)
        error = (target - _channel_mean(layer, y)) * count
        self._sums[name] = self._sums[name] + error if name in self._sums else error
        self._counts[name] = self._counts.get(name, 0) + count
        shape = [1] * y.dim()
        shape[layer.input_axis] = -1
        return y + self._shift(name).to(y.dtype).view(shape)

    def apply(self) -> list[str]:
        with torch.no_grad():
            for name in self._sums:
                bias = bias_of(self.layers[name])
                assert bias is not None
                bias.add_(self._shift(name).to(bias.dtype))
        return list(self._sums)

    def _shift(self, name: str) -> Tensor:
        return self._sums[name] / max(self._counts[name], 1)


def _channel_mean(layer: QuantLayer, y: Tensor) -> Tensor:
    return y.detach().double().movedim(layer.input_axis, 0).flatten(1).mean(1)


class _Tap(nn.Module):
    """Stands in front of a layer's activation function."""

    def __init__(self, tap: Callable[[Tensor], Tensor], function: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.tap = tap
        self.function = function

    def forward(self, y: Tensor) -> Tensor:
        y = self.tap(y)
        return y if self.function is None else self.function(y)


@contextmanager
def _tapped(layers: dict[str, Any], tap: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
    """Let ``tap`` see, and change, what goes into the layers' activation functions."""
    functions = {name: getattr(layer, "activation", None) for name, layer in layers.items()}
    plain = [layer for layer in layers.values() if not hasattr(layer, "activation")]
    handles = []
    for name, layer in layers.items():
        if layer in plain:
            handles.append(layer.register_forward_hook(lambda _m, _a, y, name=name: tap(name, y)))
        else:
            layer.activation = _Tap(lambda y, name=name: tap(name, y), functions[name])  # type: ignore[misc]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for name, layer in layers.items():
            if layer not in plain:
                del layer.activation
                layer.activation = functions[name]


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
