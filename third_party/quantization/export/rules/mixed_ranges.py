"""One scale over boxes and scores."""

from collections.abc import Iterator

from torch.fx import Node

from ..findings import Finding
from ..nodes import FAKE_QUANTIZE, layer_name
from ..passes.through import JOINS, passes_values
from .reach import PROBABILITIES, cuts, downstream, origin
from .registry import Graph, program_rule

_REMEDY = (
    "Quantize them apart, or leave this tensor in float: let no quantizer stand between the prediction layers and the "
    "decoding (SKIP in a rule, or no ELEMENTWISE for this layer)."
)


@program_rule
def mixed_ranges(graph: Graph) -> Iterator[Finding]:
    """Tensors with boxes of hundreds of pixels and scores below 1 on one grid: scores all become zero."""
    for node in graph.grids:
        if _joins_scores_with_others(node) or _is_cut_into_scores_and_others(node):
            low, high = graph.grids[node].ends
            yield Finding(
                layer_name(node),
                "mixed_ranges",
                "error",
                f"{graph.names[node.name]} has one scale, over [{low:.4g}, {high:.4g}], for scores and other values",
                _REMEDY,
            )


def _joins_scores_with_others(node: Node) -> bool:
    """Whether what a node quantizes, or what is joined behind it with parts of the same range, has scores in it."""
    joined = node.args[0]
    while isinstance(joined, Node) and passes_values(joined):
        joined = joined.args[0]
    if not isinstance(joined, Node) or joined.target not in JOINS:
        return False
    parts = joined.args[0]
    assert isinstance(parts, (list, tuple))
    scores = [_source(part).target in PROBABILITIES for part in parts]
    return any(scores) and not all(scores)


def _source(part: object) -> Node:
    node = origin(part)
    return origin(node.args[0]) if node.target is FAKE_QUANTIZE else node


def _is_cut_into_scores_and_others(node: Node) -> bool:
    """Whether some parts of a quantized tensor become scores and others something else."""
    uses: list[bool] = []
    for part in (at for at in downstream(node, passes_values) if cuts(at)):
        ends = [at for at in downstream(part, passes_values) if not passes_values(at) and at.op == "call_function"]
        if any(cuts(at) for at in downstream(part, passes_values)) or not ends:
            continue
        uses.append(any(end.target in PROBABILITIES for end in ends))
    return any(uses) and not all(uses)
