"""What is computed in float: before the first and behind the last integer."""

import torch

from ..operations import FLOAT
from .calls import Call
from .values import Constant, FloatTensor, Origin, Scalar, Value, values_in


def float_step(call: Call) -> "Value | tuple[Value, ...]":
    """The result of an operator in float, remembering whether integers went into it."""
    origin = call.origin
    if isinstance(call.result, (list, tuple)):
        return _parts(call)
    if call.name not in FLOAT:
        raise call.refuse(
            "integer programs have no such operator",
            "Leave it out of the traced part; convolutions and linear layers need quantized weights and inputs",
        )
    tensors = [value for value in values_in([*origin.arguments, origin.keywords]) if not isinstance(value, Scalar)]
    left = next((value.left for value in tensors if isinstance(value, FloatTensor) and value.left), None)
    if left is None and not all(isinstance(value, (FloatTensor, Constant)) for value in tensors):
        left = origin
    name = call.builder.step(
        origin.operator, list(origin.arguments), origin.keywords, origin.layer, call.builder.as_float, floating=True
    )
    return FloatTensor(tensor=name, left=left, rank=call.rank, origin=origin)


def _parts(call: Call) -> tuple[Value, ...]:
    """Operators with several results as slices."""
    if call.name not in ("chunk", "split", "split_with_sizes", "unbind"):
        raise call.refuse("integer programs have no such operator", "Leave it out of the traced part")
    source, dim, start, parts = call.origin.arguments[0], int(call.argument("dim", 0)), 0, []
    for index, example in enumerate(call.result):
        if call.name == "unbind":
            operator, arguments = torch.ops.aten.select.int, (source, dim, index)
        else:
            end = start + int(example.shape[dim])
            operator, arguments = torch.ops.aten.slice.Tensor, (source, dim, start, end)
            start = end
        origin = Origin(operator, arguments, {}, call.origin.layer)
        part = float_step(Call(call.builder, origin, example, call.node))
        assert isinstance(part, Value)
        parts.append(part)
    return tuple(parts)
