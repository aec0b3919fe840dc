"""From a prepared model to one whose weights are integers."""

import torch
from torch import nn

from ..modules import ConvertedLayer, QuantElementwise, QuantLayer, QuantNonlinear
from ..quantizers.quantizer import Quantizer
from .access import quantizers
from .layers import Layer, survey
from .norm_pairs import fold_neighbours
from .preparation import put
from .report import Report
from .rows import RowMaker


@torch.no_grad()
def convert(model: nn.Module) -> Report:
    """Freeze a prepared model, in place: integer weights, batch norm in scale and bias, ranges that never change.

    The result computes what the model computed in evaluation: the same integers, and the same output up to the
    rounding of a float batch norm that goes into scale and bias: one that the layer carries, one next to it in an
    ``nn.Sequential``, or one that :func:`register_norm_pair` tells of. A negative factor of a norm makes a scale
    negative; the integers stay as trained. Layers that cannot be held as integers stay as they are, and the report
    says why. A converted model is left as it is, and its state dict loads into another converted model.

    Args:
        model: prepared by :func:`prepare`, trained or calibrated.

    Returns:
        a row for every layer; the same from a second call.

    Raises:
        ValueError: before anything is changed: quantizers of activations that have no range yet.
    """
    layers = survey(model)
    _check_ranges(layers)
    for layer in layers:
        if isinstance(layer.module, QuantLayer) and conversion_refusal(layer.module) is None:
            put(model, layer.names, layer.module.converted_type(layer.module))
    fold_neighbours(model)
    for _, quantizer in quantizers(model):
        quantizer.set_frozen(True)
    layers, maker = survey(model), RowMaker()
    return maker.report([maker.row(layer, layer.module, _why(layer)) for layer in layers], model, [])


def conversion_refusal(layer: QuantLayer) -> str | None:
    """Why a layer's weight cannot be held as integers; None: it can."""
    quantizer = layer.weight_quantizer
    if quantizer is None:
        return "weight in floating point"
    if not quantizer.enabled:
        return "the weight's quantizer is switched off"
    refusal = quantizer.grid().refusal
    return None if refusal is None else f"weight: {refusal}"


def _check_ranges(layers: list[Layer]) -> None:
    missing = []
    for layer in layers:
        function = getattr(layer.module, "activation", None)
        readers = {layer.name: layer.module, f"{layer.name}.activation": function} if layer.done else {}
        for name, module in readers.items():
            quantizer = getattr(module, "input_quantizer", None)
            if isinstance(quantizer, Quantizer) and quantizer.enabled and not quantizer.initialized:
                missing.append(name)
    if missing:
        raise ValueError(f"train or calibrate the model first; no range yet for the input of: {', '.join(missing)}")


def _why(layer: Layer) -> str:
    module = layer.module
    if not isinstance(module, (QuantLayer, QuantElementwise, QuantNonlinear, ConvertedLayer)):
        return layer.why or "not quantized"
    reasons = []
    if isinstance(module, ConvertedLayer):
        reasons.append("integer weight")
    elif isinstance(module, QuantLayer):
        reasons.append(conversion_refusal(module) or "")
    quantizer = module.input_quantizer
    if isinstance(quantizer, Quantizer) and quantizer.enabled:
        reasons.append(_input_note(quantizer, module))
    return "; ".join(reason for reason in reasons if reason)


def _input_note(quantizer: Quantizer, module: nn.Module) -> str:
    grid = quantizer.grid()
    if grid.refusal is None:
        return "input on a fixed grid"
    padding = getattr(module, "padding", 0)
    padded = padding == "same" or any(padding if isinstance(padding, tuple) else (padding,))
    note = ", and the zeros of the padding are no level" if padded and not grid.has_zero else ""
    return f"input stays as it is: {grid.refusal}{note}"
