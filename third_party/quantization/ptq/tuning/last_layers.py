"""The layers that a model's results come from."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ...modules import QuantLayer


def last_layers(model: nn.Module, run: Callable[[], object]) -> list[str]:
    """Quantized layers whose output no other of them reads, in the order in which they run.

    What follows a layer is seen in the graph of gradients. Where it is cut, as behind proposals, the layer in front of
    the cut is one of the last.

    Args:
        model: prepared; in the mode in which it is to run.
        run: calls it on an example.

    Returns:
        qualified names.
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
    return [name for name, nodes in made.items() if not inner.issuperset(nodes)]


def _all_before(nodes: list[Node]) -> set[Node]:
    """The nodes of a graph of gradients from which some nodes follow, and these themselves."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [before for before, _ in node.next_functions if before is not None]
    return found
