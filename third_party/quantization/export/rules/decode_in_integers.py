"""Box decoding on a grid."""

from collections.abc import Iterator

import torch
from torch.fx import Node

from ..findings import Finding
from ..nodes import DEQUANTIZE, FAKE_QUANTIZE, layer_name
from .reach import is_weighted, origin, upstream, value_inputs
from .registry import Graph, program_rule

aten = torch.ops.aten
_SOFTMAX = frozenset({aten.softmax.int, aten._softmax.default})
_SIGNS = frozenset({aten.exp.default, aten.arange.default, aten.arange.start, aten.arange.start_step})
_REMEDY = (
    "Keep the decoding in float: it costs next to nothing, and 8 bits over a whole image are steps of several pixels. "
    "Skip this layer in a rule of the quantization settings."
)


@program_rule
def decode_in_integers(graph: Graph) -> Iterator[Finding]:
    """Quantized coordinates, or a quantized expectation over the bins of a distribution (DFL)."""
    for node in graph.nodes:
        if node.target is FAKE_QUANTIZE and _decodes(node):
            yield _finding(graph, node, "coordinates that are decoded already are quantized")
        elif is_weighted(node) and origin(node.args[0]).target is FAKE_QUANTIZE:
            if origin(origin(node.args[0]).args[0]).target in _SOFTMAX:
                yield _finding(graph, origin(node.args[0]), "the distribution over bins (DFL) is quantized")


def _finding(graph: Graph, node: Node, what: str) -> Finding:
    low, high = graph.grids[node].ends
    text = f"{what}: {graph.names[node.name]}, steps of {(high - low) / (2 ** graph.grids[node].bits - 1):.4g}"
    return Finding(layer_name(node), "decode_in_integers", "error", text, _REMEDY)


def _decodes(node: Node) -> bool:
    """Whether positions or exponentials go into what is quantized, without a layer in between."""

    def go_on(at: Node) -> bool:
        return not is_weighted(at) and at.target not in (FAKE_QUANTIZE, DEQUANTIZE)

    return any(at.target in _SIGNS for at in upstream(node, go_on, value_inputs))
