"""The convolutions of a network here, found by running it on tensors without memory."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..network import YOLONetwork
from .conv_graph import ConvGraph, ConvNode, Value, concatenated, merged

__all__ = ["conv_kind", "network_graph"]

_aten = torch.ops.aten


def conv_kind(shape: tuple[int, ...], stride: tuple[int, ...], groups: int) -> str:
    """What distinguishes a convolution, in words."""
    return f"weight {'x'.join(map(str, shape))}, stride {'x'.join(map(str, stride))}, groups {groups}"


class _Recorder(TorchDispatchMode):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        modules = network.named_modules()
        self._names = {id(module.weight): name for name, module in modules if isinstance(module, nn.Conv2d)}
        self._values: dict[int, Value] = {}
        self._alive: list[Any] = []
        self.nodes: list[ConvNode] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        value = self._value(func, args)
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        # Identities are unique only as long as the tensors live.
        self._alive += outputs
        self._values.update({id(output): value for output in outputs if isinstance(output, Tensor)})
        return result

    def _value(self, func: Any, args: Any) -> Value:
        if func is _aten.convolution.default and id(args[1]) in self._names:
            name = self._names[id(args[1])]
            kind = conv_kind(tuple(args[1].shape), tuple(args[3]), args[8])
            self.nodes.append(ConvNode(name, kind, self._of(args[0])))
            return (frozenset([name]),)
        if func is _aten.cat.default and _along_channels(args):
            return concatenated([self._of(tensor) for tensor in args[0]])
        tensors = [part for arg in args for part in (arg if isinstance(arg, (tuple, list)) else [arg])]
        return merged([self._of(part) for part in tensors if isinstance(part, Tensor)])

    def _of(self, tensor: Tensor) -> Value:
        return self._values.get(id(tensor), ())


def _along_channels(args: Any) -> bool:
    return len(args) > 1 and args[1] % args[0][0].dim() == 1


def network_graph(network: YOLONetwork) -> ConvGraph:
    """Its convolutions in evaluation mode, named as its modules.

    Args:
        network: on the meta device; in evaluation mode.
    """
    side = 2 * max(network.strides)
    recorder = _Recorder(network)
    with torch.no_grad(), recorder:
        network(torch.zeros(1, 3, side, side, device="meta"))
    return ConvGraph(tuple(recorder.nodes))
