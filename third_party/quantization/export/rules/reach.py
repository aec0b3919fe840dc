"""Looking along the edges of a graph."""

from collections.abc import Callable, Iterator

import torch
from torch.fx import Node

from ..nodes import DEQUANTIZE, FAKE_QUANTIZE
from ..passes.through import is_part, passes_values

aten = torch.ops.aten
WEIGHTED = frozenset(
    {
        aten.conv1d.default,
        aten.conv2d.default,
        aten.conv2d.padding,
        aten.conv3d.default,
        aten.convolution.default,
        aten.conv_transpose1d.default,
        aten.conv_transpose2d.input,
        aten.linear.default,
        aten.addmm.default,
    }
)
PROBABILITIES = frozenset(
    {aten.sigmoid.default, aten.sigmoid_.default, aten.softmax.int, aten._softmax.default, aten.log_softmax.int}
)
CHOOSES = frozenset({aten.index.Tensor, aten.index_select.default, aten.gather.default})
CUTS = frozenset({aten.slice.Tensor, aten.narrow.default, aten.select.int, aten.index.Tensor})


def cuts(node: Node) -> bool:
    """Whether a node takes a part of a tensor."""
    return node.target in CUTS or is_part(node)


def is_weighted(node: Node) -> bool:
    """Whether a node is a convolution or a linear layer."""
    return node.target in WEIGHTED or str(node.target) == "torchvision.deform_conv2d.default"


def is_quantized_layer(node: Node) -> bool:
    """Whether a node is a convolution or a linear layer by integer weights on a quantized input."""
    return is_weighted(node) and origin(node.args[0]).target is FAKE_QUANTIZE and _weight(node).target is DEQUANTIZE


def _weight(node: Node) -> Node:
    weight = node.args[1]
    assert isinstance(weight, Node)
    return weight


def origin(value: object) -> Node:
    """The node that made the values of another, before they were moved, selected or joined (then the first)."""
    assert isinstance(value, Node)
    while True:
        if passes_values(value):
            value = value.args[0]
        elif value.target in (aten.cat.default, aten.stack.default):
            value = value.args[0][0]  # type: ignore[index]
        else:
            return value
        assert isinstance(value, Node)


def upstream(
    node: Node, go_on: Callable[[Node], bool], inputs: Callable[[Node], list[Node]] = lambda node: node.all_input_nodes
) -> Iterator[Node]:
    """The nodes before a node, nearest first, without passing beyond those that ``go_on`` refuses.

    Args:
        node: where to begin.
        go_on: whether to look beyond a node.
        inputs: of a node, those to look at.
    """
    seen: set[Node] = set()
    queue = list(inputs(node))
    while queue:
        at = queue.pop(0)
        if at in seen:
            continue
        seen.add(at)
        yield at
        if go_on(at):
            queue += inputs(at)


def value_inputs(node: Node) -> list[Node]:
    """The inputs whose values go into a node's output; not those that only say which of them, or where to look."""
    if getattr(node.target, "overloadpacket", None) is aten.where:
        given = list(node.args[1:])
    elif node.target in CHOOSES or str(node.target).startswith(("torchvision.roi_", "aten.grid_sampler")):
        given = [node.args[0]]
    else:
        return node.all_input_nodes
    return [value for value in given if isinstance(value, Node)]


def downstream(node: Node, go_on: Callable[[Node], bool]) -> Iterator[Node]:
    """The nodes behind a node, nearest first, without passing beyond those that ``go_on`` refuses."""
    seen: set[Node] = set()
    queue = list(node.users)
    while queue:
        at = queue.pop(0)
        if at in seen:
            continue
        seen.add(at)
        yield at
        if go_on(at):
            queue += list(at.users)
