"""Quantized layers whose output stays in float on the way to the next."""

from collections.abc import Iterator

from torch.fx import Node

from ..findings import Finding
from ..nodes import FAKE_QUANTIZE, layer_name
from ..passes.clipping import bounds_of
from .reach import downstream, is_quantized_layer
from .registry import Graph, program_rule


@program_rule
def float_output(graph: Graph) -> Iterator[Finding]:
    """ONNX Runtime has an integer kernel only for layers between DequantizeLinear and QuantizeLinear."""
    if graph.target.name != "onnxruntime":
        return
    for node in graph.nodes:
        if not is_quantized_layer(node) or all(_quantizes(reader) for reader in node.users):
            continue
        if not any(is_quantized_layer(at) for at in downstream(node, _always)):
            continue
        what = ", ".join(sorted({str(reader.target) for reader in node.users if not _quantizes(reader)}))
        yield Finding(
            layer_name(node),
            "float_output",
            "warning",
            f"its output goes into {what} without being quantized: the engine computes this layer in float",
            "Quantize what activation functions read: the settings NONLINEAR, and ELEMENTWISE for sums.",
        )


def _quantizes(reader: Node) -> bool:
    if reader.target is FAKE_QUANTIZE or reader.op == "output":  # an output is wanted as it is
        return True
    return bounds_of(reader) is not None and all(_quantizes(further) for further in reader.users)


def _always(node: Node) -> bool:
    return True
