"""What tuning changes: weights, biases and the steps of activations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...modules import QuantLayer
from ...spec.roles import Role
from ...transform.access import quantizers
from ..bias_correction import bias_of
from ..learnable import has_learnable_range
from ..weight_ranges import folded_factor
from .settings import TuningSettings

_SMALLEST_BIAS = 1e-3
_FULL_BITS = 8


class Tunables:
    """The tensors of a model that are tuned, each with a rate.

    Ranges of 8 bits and more stay: nothing is gained there, and they stand for what is known, such as that pixels are
    bytes.

    Args:
        model: prepared and calibrated.
        settings: the rates, relative to what they change.

    Attributes:
        groups: for an optimizer; a tensor each.

    Raises:
        ValueError: there are none, or float16 ones, for which Adam's averages are too small.
    """

    def __init__(self, model: nn.Module, settings: TuningSettings) -> None:
        self.model = model
        found: dict[Tensor, float] = {}
        for layer in model.modules():
            if isinstance(layer, QuantLayer):
                found |= _of_layer(layer, settings)
        for _, quantizer in quantizers(model):
            narrow = quantizer.role is Role.ACTIVATION and quantizer.enabled and quantizer.bits < _FULL_BITS
            if narrow and has_learnable_range(quantizer):
                found[quantizer.scale] = settings.range_rate * float(quantizer.scale.mean())
        self.groups: list[dict[str, Any]] = [{"params": [t], "lr": rate} for t, rate in found.items() if rate > 0]
        if not self.groups:
            raise ValueError("tuning finds nothing to tune: no layer is quantized, or all rates are 0")
        self._tensors = [tensor for group in self.groups for tensor in group["params"]]
        if any(tensor.dtype is torch.float16 for tensor in self._tensors):
            raise ValueError("the model is in float16: tune it in float32, and convert it afterwards")
        self._before = [tensor.detach().clone() for tensor in self._tensors]

    @contextmanager
    def open(self) -> Iterator[None]:
        """Within the block they alone get gradients."""
        switches = [(parameter, parameter.requires_grad) for parameter in self.model.parameters()]
        for parameter, _ in switches:
            parameter.requires_grad_(False)
        for tensor in self._tensors:
            tensor.requires_grad_(True)
        try:
            yield
        finally:
            for tensor in self._tensors:
                tensor.grad = None
                tensor.requires_grad_(False)
            for parameter, switch in switches:
                parameter.requires_grad_(switch)

    @torch.no_grad()
    def restore(self) -> None:
        """Let them be as they were at the start."""
        for tensor, before in zip(self._tensors, self._before, strict=True):
            tensor.copy_(before)


@torch.no_grad()
def _of_layer(layer: QuantLayer, settings: TuningSettings) -> dict[Tensor, float]:
    """A layer's weight and bias with their rates."""
    found: dict[Tensor, float] = {}
    quantizer = layer.weight_quantizer
    if not any(one is not None and one.enabled for one in (quantizer, layer.input_quantizer)):
        return found
    if quantizer is not None and quantizer.enabled and has_learnable_range(quantizer):
        prepared = layer.prepared_weight(folded_factor(layer))
        size = float(layer.weight.abs().mean() / prepared.abs().mean().clamp_min(torch.finfo(torch.float32).tiny))
        found[layer.weight] = settings.weight_rate * size * float(quantizer.step().mean())
    bias = bias_of(layer)
    if bias is not None:
        found[bias] = settings.bias_rate * max(float(bias.square().mean().sqrt()), _SMALLEST_BIAS)
    return found
