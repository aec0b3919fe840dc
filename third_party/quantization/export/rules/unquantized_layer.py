"""A layer in float between quantized ones."""

from collections.abc import Iterator

from torch.fx import Node

from ..findings import Finding
from ..nodes import layer_name
from .reach import downstream, is_quantized_layer, is_weighted, upstream
from .registry import Graph, program_rule


@program_rule
def unquantized_layer(graph: Graph) -> Iterator[Finding]:
    """Convolutions and linear layers in float with quantized ones before and behind them."""
    layers = [node for node in graph.nodes if is_weighted(node)]
    quantized = {node for node in layers if is_quantized_layer(node)}
    for node in layers:
        if node in quantized or not _any(upstream(node, _always), quantized):
            continue
        if _any(downstream(node, _always), quantized):
            yield Finding(
                layer_name(node),
                "unquantized_layer",
                "warning",
                "it is in float between quantized layers: engines leave and enter integers around it",
                "Quantize weight and input of this layer, or accept the cost for its accuracy.",
            )


def _always(node: Node) -> bool:
    return True


def _any(nodes: Iterator[Node], wanted: set[Node]) -> bool:
    return any(node in wanted for node in nodes)
