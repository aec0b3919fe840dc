"""Quantized layers whose output stays in float on the way to the next."""

import math
from collections.abc import Iterator

import torch
from torch.fx import Node

from ..findings import Finding
from ..nodes import FAKE_QUANTIZE, layer_name
from ..passes.clipping import bounds_of
from .reach import downstream, is_quantized_layer
from .registry import Graph, program_rule

_SIZE = torch.ops.aten.sym_size.int


@program_rule
def float_output(graph: Graph) -> Iterator[Finding]:
    """ONNX Runtime has an integer kernel only for layers between DequantizeLinear and QuantizeLinear."""
    if graph.target.name != "onnxruntime":
        return
    for node in graph.nodes:
        readers = _float_readers(graph, node) if is_quantized_layer(node) else []
        if not readers:
            continue
        if not any(is_quantized_layer(at) for at in downstream(node, _always)):
            continue
        what = ", ".join(sorted({str(reader.target) for reader in readers}))
        yield Finding(
            layer_name(node),
            "float_output",
            "warning",
            f"its output goes into {what} without being quantized: the engine computes this layer in float",
            "Quantize what activation functions read: the settings NONLINEAR, and ELEMENTWISE for sums.",
        )


def _float_readers(graph: Graph, node: Node) -> list[Node]:
    """The readers for which a tensor must be there in float; those that ask for its size are told by its codes."""
    has_codes = any(_gives_codes(graph, reader) for reader in node.users)
    return [
        reader for reader in node.users if not _quantizes(graph, reader) and not (has_codes and reader.target is _SIZE)
    ]


def _quantizes(graph: Graph, reader: Node) -> bool:
    if reader.target is FAKE_QUANTIZE or reader.op == "output":  # an output is wanted as it is
        return True
    return bounds_of(reader) is not None and not _float_readers(graph, reader)


def _gives_codes(graph: Graph, reader: Node) -> bool:
    """Whether a reader becomes QuantizeLinear, with no step in float before it but ReLU."""
    if bounds_of(reader) == (0.0, math.inf):
        return any(_gives_codes(graph, further) for further in reader.users)
    grid = graph.grids.get(reader)
    return graph.target.clip_codes and grid is not None and grid.bits <= 8 and not grid.half


def _always(node: Node) -> bool:
    return True
