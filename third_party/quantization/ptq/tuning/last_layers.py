"""The layers that a model's results come from, seen in the graph of gradients."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ...modules import QuantLayer


class Flow(NamedTuple):
    """How the results of quantized layers depend on each other in a run.

    Attributes:
        last: layers whose output no other of them reads, in the order in which they run.
        before: for each of all layers those that its outputs depend on, itself among them.
    """

    last: list[str]
    before: dict[str, frozenset[str]]


def flow_of(model: nn.Module, run: Callable[[], object]) -> Flow:
    """Run a model with gradients and look at their graph.

    Where the graph is cut, as behind proposals, the layer in front of the cut is one of the last, and none before the
    layer behind it.

    Args:
        model: prepared; in the mode in which it is to run; the layers' weights or biases require gradients.
        run: calls it on an example.
    """
    read: list[Node] = []
    made: dict[str, list[Node]] = {}

    def before(_module: nn.Module, args: tuple[Any, ...]) -> None:
        read.extend(x.grad_fn for x in args if isinstance(x, Tensor) and x.grad_fn is not None)

    def note(name: str, output: Tensor) -> None:
        if output.grad_fn is not None:
            made.setdefault(name, []).append(output.grad_fn)

    handles = []
    for name, layer in model.named_modules():
        if isinstance(layer, QuantLayer):
            handles.append(layer.register_forward_pre_hook(before))
            handles.append(layer.register_forward_hook(lambda _m, _a, output, name=name: note(name, output)))
    try:
        with torch.enable_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    inner = _all_before(read)
    last = [name for name, nodes in made.items() if not inner.issuperset(nodes)]
    names = {node: name for name, nodes in made.items() for node in nodes}
    reached = {name: frozenset(names[node] for node in _all_before(made[name]) if node in names) for name in made}
    return Flow(last, reached)


def _all_before(nodes: Iterable[Node]) -> set[Node]:
    """The nodes of a graph of gradients from which some nodes follow, and these themselves."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [before for before, _ in node.next_functions if before is not None]
    return found
