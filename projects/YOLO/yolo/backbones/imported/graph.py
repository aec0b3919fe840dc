"""Operators of a file, and the layers that those of wanted feature maps become."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from detectron2.layers import Concat, Conv2d

__all__ = ["ImportedGraph", "Node", "Step", "build_steps"]


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        name: in the file, for the name of the layer and for messages.
        operator: its kind, as the file names it.
        inputs: the values that it computes with, constants left out.
        output: the value that it computes.
        make: makes the layer; raises ``ValueError`` for what is not supported.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    output: str
    make: Callable[[], nn.Module]


@dataclass(frozen=True)
class ImportedGraph:
    """The operators of a file.

    Attributes:
        source: path of the file.
        image: the value that is the image.
        nodes: in an order in which they can run.
        names: of the values that can be feature maps, as the file has them -> value.
    """

    source: str
    image: str
    nodes: tuple[Node, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def value(self, feature: str) -> str:
        """The value that a name of a feature map stands for.

        Raises:
            ValueError: there is none; names the nearest.
        """
        if feature in self.names:
            return self.names[feature]
        near = difflib.get_close_matches(feature, self.names, n=5, cutoff=0.3) or list(self.names)[-5:]
        raise ValueError(
            f"MODEL.YOLO.BACKBONE.IMPORTED.FEATURES names {feature!r}, which {self.source} does not have; "
            f"near are {', '.join(near)}"
        )

    def needed(self, values: Sequence[str]) -> list[Node]:
        """The operators that some values depend on, in order.

        Raises:
            ValueError: one of the values is not computed from the image.
        """
        waiting, found = set(values), []
        for node in reversed(self.nodes):
            if node.output in waiting:
                found.append(node)
                waiting |= set(node.inputs)
        missing = waiting - {node.output for node in found} - {self.image}
        if missing:
            raise ValueError(f"{self.source}: {sorted(missing)[0]} is neither the image nor computed from it")
        return found[::-1]


@dataclass(frozen=True)
class Step:
    """One layer of an imported network.

    Attributes:
        layer: its name.
        inputs: values that it reads.
        output: value that it computes.
        takes_list: it is called with the list of its inputs.
    """

    layer: str
    inputs: tuple[str, ...]
    output: str
    takes_list: bool = False


def build_steps(graph: ImportedGraph, values: Sequence[str]) -> tuple[list[Step], dict[str, nn.Module]]:
    """The layers of all operators that some values depend on.

    A batch normalisation that alone reads a convolution becomes part of it.

    Returns:
        the steps in order, and the layers by name.

    Raises:
        ValueError: an operator that is not supported; the message names it and its node.
    """
    steps: list[Step] = []
    layers: dict[str, nn.Module] = {}
    nodes = graph.needed(values)
    readers = Counter(name for node in nodes for name in node.inputs) + Counter(values)
    for node in nodes:
        try:
            layer = node.make()
        except ValueError as error:
            raise ValueError(f"{graph.source}: {node.operator} {node.name!r}: {error}") from error
        before = steps[-1] if steps else None
        if isinstance(layer, nn.BatchNorm2d) and before and before.output == node.inputs[0]:
            conv = _bare_convolution(layers[before.layer])
            if conv is not None and readers[before.output] == 1:
                conv.norm = layer
                steps[-1] = replace(before, output=node.output)
                continue
        name = _layer_name(node.name or node.operator, layers)
        layers[name] = layer
        steps.append(Step(name, node.inputs, node.output, isinstance(layer, Concat)))
    return steps, layers


def _bare_convolution(layer: nn.Module) -> Conv2d | None:
    """The convolution that a layer ends with, if it carries nothing yet."""
    last = layer[-1] if isinstance(layer, nn.Sequential) else layer
    return last if isinstance(last, Conv2d) and last.norm is None and last.activation is None else None


def _layer_name(name: str, taken: Mapping[str, nn.Module]) -> str:
    """A name of the file made fit for a module, and different from the others."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "layer"
    plain = f"layer_{plain}" if plain[0].isdigit() else plain
    count = sum(other == plain or other.startswith(f"{plain}__") for other in taken)
    return f"{plain}__{count}" if count else plain
