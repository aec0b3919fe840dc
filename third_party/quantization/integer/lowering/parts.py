"""Operators with several results, as one slice for each."""

from collections.abc import Iterator
from typing import Any

import torch

from .calls import Call
from .values import Origin

DIVIDING = ("chunk", "split", "split_with_sizes", "unbind")


def slices(call: Call) -> Iterator[Call]:
    """A call of ``slice`` or ``select`` for each result of an operator in :data:`DIVIDING`."""
    source, dim, start = call.origin.arguments[0], int(call.argument("dim", 0)), 0
    for index, example in enumerate(call.result):
        operator: Any = torch.ops.aten.slice.Tensor
        arguments: tuple[Any, ...] = (source, dim, start, start + int(example.shape[dim]))
        if call.name == "unbind":
            operator, arguments = torch.ops.aten.select.int, (source, dim, index)
        else:
            start = arguments[3]
        yield Call(call.builder, Origin(operator, arguments, {}, call.origin.layer), example, call.node)
