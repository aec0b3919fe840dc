"""Which convolution feeds which: enough of a network to find a convolution again in another description of it."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["ConvGraph", "ConvNode", "Value", "concatenated", "match", "merged"]

# What a feature map is made of: for each concatenated part, the names of the convolutions whose outputs are in it.
Value = tuple[frozenset[str], ...]


@dataclass(frozen=True)
class ConvNode:
    """A convolution.

    Attributes:
        name: unique in its graph.
        kind: what must be equal for two to be the same: shape of the weight, stride, ...
        source: what it reads; empty for the image.
    """

    name: str
    kind: Hashable
    source: Value


@dataclass(frozen=True)
class ConvGraph:
    """The convolutions of a network in the order in which they run."""

    nodes: tuple[ConvNode, ...]


def concatenated(values: Sequence[Value]) -> Value:
    """The parts of all inputs, in their order."""
    return tuple(part for value in values for part in value)


def merged(values: Sequence[Value]) -> Value:
    """What an operation of several inputs gives: part by part if they have as many, else everything in one."""
    filled = [value for value in values if value]
    if not filled:
        return ()
    if len({len(value) for value in filled}) == 1:
        return tuple(frozenset().union(*parts) for parts in zip(*filled, strict=True))
    return (frozenset().union(*(part for value in filled for part in value)),)


def match(ours: ConvGraph, theirs: ConvGraph) -> dict[str, str]:
    """Pair the convolutions of two descriptions of one network.

    Both graphs are coloured together: a colour starts as the kind and is refined by the colours of what a convolution
    reads and of what reads it, until nothing changes (Weisfeiler and Lehman's refinement). The order in which the
    convolutions run is not looked at.

    Returns:
        name in ``ours`` -> name in ``theirs``.

    Raises:
        ValueError: they differ, or convolutions cannot be told apart.
    """
    colours, other = _refined((ours, theirs))
    if Counter(colours.values()) != Counter(other.values()):
        raise ValueError(_difference(ours, theirs))
    by_colour: dict[int, list[str]] = {}
    for name, colour in other.items():
        by_colour.setdefault(colour, []).append(name)
    twins = [name for name, colour in colours.items() if len(by_colour[colour]) > 1]
    if twins:
        raise ValueError(f"these convolutions cannot be told apart by their place: {', '.join(twins[:10])}")
    return {name: by_colour[colour][0] for name, colour in colours.items()}


def _refined(graphs: tuple[ConvGraph, ConvGraph]) -> list[dict[str, int]]:
    colours = _numbered([{node.name: node.kind for node in graph.nodes} for graph in graphs])
    readers = [_readers(graph) for graph in graphs]
    while True:
        keys = [
            {node.name: _key(node, own, read[node.name]) for node in graph.nodes}
            for graph, own, read in zip(graphs, colours, readers, strict=True)
        ]
        refined = _numbered(keys)
        if _count(refined) == _count(colours):
            return refined
        colours = refined


def _key(node: ConvNode, colours: dict[str, int], readers: list[tuple[int, str]]) -> Hashable:
    source = tuple(tuple(sorted(colours[name] for name in part)) for part in node.source)
    return colours[node.name], source, tuple(sorted((place, colours[reader]) for place, reader in readers))


def _readers(graph: ConvGraph) -> dict[str, list[tuple[int, str]]]:
    """For each convolution, the places at which others read it."""
    found: dict[str, list[tuple[int, str]]] = {node.name: [] for node in graph.nodes}
    for node in graph.nodes:
        for place, part in enumerate(node.source):
            for name in part:
                found[name].append((place, node.name))
    return found


def _numbered(graphs: Iterable[dict[str, Hashable]]) -> list[dict[str, int]]:
    numbers: dict[Hashable, int] = {}
    return [{name: numbers.setdefault(key, len(numbers)) for name, key in keys.items()} for keys in graphs]


def _count(graphs: Iterable[dict[str, int]]) -> int:
    return len({colour for colours in graphs for colour in colours.values()})


def _difference(ours: ConvGraph, theirs: ConvGraph) -> str:
    own, other = (Counter(node.kind for node in graph.nodes) for graph in (ours, theirs))
    if own == other:
        return "the file has the convolutions of the network, but connects them in another way"
    missing = "".join(f"\n  missing {count} x {kind}" for kind, count in (own - other).items())
    unused = "".join(f"\n  not used {count} x {kind}" for kind, count in (other - own).items())
    return f"the file has {len(theirs.nodes)} convolutions, the network {len(ours.nodes)}:{missing}{unused}"
