"""Levels that QuantizeLinear and DequantizeLinear, or an engine's integer kernels, cannot carry."""

from collections.abc import Iterator

from torch import nn

from ...quantizers.quantizer import Quantizer
from ..findings import Finding
from ..lowering.carriers import carrier_of
from ..nodes import layer_name
from .registry import Graph, model_rule, program_rule


@model_rule
def no_integer_levels(model: nn.Module) -> Iterator[Finding]:
    """Quantizers whose levels are a list, or whose codes are too wide."""
    for name, quantizer in model.named_modules():
        if not isinstance(quantizer, Quantizer) or not quantizer.enabled or not quantizer.initialized:
            continue
        if refusal := quantizer.grid().refusal:
            yield Finding(
                name,
                "no_integer_levels",
                "error",
                f"method {quantizer.spec.method}: {refusal}",
                "Train with an affine method on grid 'integer', such as lsq, or leave this layer in float.",
            )


@program_rule
def not_carried(graph: Graph) -> Iterator[Finding]:
    """Activations that the target does not take at all, or not in integer kernels."""
    for node, grid in graph.grids.items():
        name, layer = graph.names[node.name], layer_name(node)
        try:
            carrier_of(grid, graph.target)
        except ValueError as error:
            yield Finding(layer, "not_carried", "error", f"{name}: {error}", "Change the activation's settings.")
            continue
        if grid.half:
            text, remedy = "levels without zero need an addition behind DequantizeLinear", "Use grid 'integer'."
        elif grid.axis is not None:
            text, remedy = "an activation with a range for each channel", "Use granularity 'tensor'."
        else:
            continue
        yield Finding(layer, "not_carried", "warning", f"{name}: {text}; engines compute its readers in float", remedy)
