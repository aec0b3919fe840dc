"""A tensor that is quantized more than once."""

from collections import defaultdict
from collections.abc import Iterator

from torch.fx import Node

from ..findings import Finding
from ..nodes import FAKE_QUANTIZE, layer_name
from ..passes.through import passes_values
from .registry import Graph, program_rule


@program_rule
def duplicates(graph: Graph) -> Iterator[Finding]:
    """Several grids for one tensor, or a grid for what is on a grid already."""
    readers: dict[Node, list[Node]] = defaultdict(list)
    for node in graph.grids:
        source = node.args[0]
        assert isinstance(source, Node)
        while passes_values(source):
            source = source.args[0]
            assert isinstance(source, Node)
        readers[source].append(node)
    for source, nodes in readers.items():
        names = ", ".join(graph.names[node.name] for node in nodes)
        if source.target is FAKE_QUANTIZE:
            text = f"{graph.names[source.name]} is quantized again by {names}: rounded twice"
        elif len(nodes) > 1:
            text = f"one tensor is quantized {len(nodes)} times: {names}; its layer keeps no integer output"
        else:
            continue
        yield Finding(
            layer_name(source),
            "duplicates",
            "warning",
            text,
            "Let readers of one tensor share a quantizer (tie_ranges before calibration), with equal settings.",
        )
