"""Convolutions and linear layers."""

from typing import Any

import torch
from torch import Tensor

from ..arithmetic.base import Window
from ..operations import Convolution, Linear
from ..packing import PackedCodes
from .builder import narrowest
from .calls import Call, handles
from .values import Affine, Clipped, Coded, Constant, Term, Value, Weight

_NO_INPUT = "its input is not quantized"
_INPUT_REMEDY = (
    "Quantize it: ACTIVATION of this layer; behind a sum or a concatenation also ELEMENTWISE, behind an activation "
    "function NONLINEAR"
)


@handles("conv2d", "convolution", "conv_transpose2d")
def convolution(call: Call) -> Value:
    """``conv(x, weight, bias)`` as int32 sums with a scale and a bias a channel."""
    weight, x = _weight(call), _input(call)
    groups = int(call.argument("groups", 1))
    transposed = call.name == "conv_transpose2d" or bool(call.argument("transposed", False))
    if x.grid.axis not in (None, 1) or weight.codes.dim() != 4:
        raise call.refuse("only images with channels second are convolved", "Leave this layer out of the program")
    outputs_first = _outputs_first if transposed else _unchanged
    scale = _scale(call, outputs_first(weight.scale, groups))
    window = Window(
        _pair(call.argument("stride", 1)),
        _padding(call, weight.codes),
        _pair(call.argument("dilation", 1)),
        groups,
        transposed,
        _pair(call.argument("output_padding", 0)) if transposed else (0, 0),
    )
    centred = outputs_first(weight.codes.long() - weight.zero_point.long(), groups)
    return _emit(call, Convolution, x, weight, scale, _reach(call, centred, x), 1, window=window)


@handles("linear")
def linear(call: Call) -> Value:
    """``x @ weight.t() + bias`` as int32 sums."""
    weight, x = _weight(call), _input(call)
    if x.grid.axis not in (None, x.rank - 1):
        raise call.refuse("its input has zero-points along another dimension", "Use granularity 'tensor'")
    centred = weight.codes.long() - weight.zero_point.long()
    scale = _scale(call, weight.scale)
    return _emit(call, Linear, x, weight, scale, _reach(call, centred, x), call.rank - 1)


def coded(value: Value, call: Call) -> Coded | None:
    """A value that is on a grid, as codes; also where it was only clipped since."""
    if isinstance(value, Coded):
        return value
    if isinstance(value, Clipped) and isinstance(value.base, Coded) and value.base.grid.axis is None:
        grid = value.base.grid
        zero_is_level = grid.low <= grid.zero_point[0] <= grid.high and not grid.half
        if zero_is_level and value.low == 0 and value.high == float("inf"):
            name = call.builder.on_grid(value, grid, call.origin.layer)
            return Coded(tensor=name, grid=grid, origin=value.origin, rank=value.rank, roots=value.roots)
    return None


def _emit(
    call: Call, operation: Any, x: Coded, weight: Weight, scale: Tensor, reach: int, axis: int, **fields: Any
) -> Affine:
    zero = weight.zero_point
    name = call.builder.emit(
        operation,
        call.origin.layer,
        x.tensor,
        weight=PackedCodes.pack(weight.codes),
        weight_zero_point=narrowest(zero) if bool(zero.any()) else None,
        zero_point=x.grid.zero_point,
        **fields,
    )
    term = Term(name, torch.zeros((), dtype=torch.int64), scale * x.grid.unit, reach)
    bias = call.argument("bias")
    values = torch.zeros(()) if bias is None else bias.tensor.reshape(-1)
    return Affine(terms=(term,), bias=values.double(), axis=axis, origin=call.origin, rank=call.rank)


def _weight(call: Call) -> Weight:
    weight, bias = call.argument("weight"), call.argument("bias")
    if not isinstance(weight, Weight):
        raise call.refuse(
            "its weight is not quantized, and integer programs hold no float weights",
            "Quantize it (WEIGHT of this layer), or leave the layer out of the program",
        )
    if bias is not None and not isinstance(bias, Constant):
        raise call.refuse("its bias is computed", "Only constant biases become integers")
    return weight


def _input(call: Call) -> Coded:
    value = call.argument("input", call.argument("self"))
    found = coded(value, call)
    if found is None:
        raise call.refuse(_NO_INPUT, _INPUT_REMEDY)
    return found


def _scale(call: Call, scale: Tensor) -> Tensor:
    """float64 ``Tensor[C_out]`` of scales that lie outputs first."""
    rows = scale.double().reshape(scale.shape[0], -1)
    if not bool((rows == rows[:, :1]).all()):
        raise call.refuse("its weights have several scales in one output channel", "Use a granularity of outputs")
    return rows[:, 0]


def _reach(call: Call, centred: Tensor, x: Coded) -> int:
    """The largest sum of products that can come up, also of codes moved to be int8."""
    if not centred.numel():
        return 0
    largest = max(x.grid.reach, 128, abs(x.grid.first), abs(x.grid.last))
    reach = int(centred.abs().reshape(centred.shape[0], -1).sum(1).max()) * largest
    if reach >= 2**31:
        raise call.refuse(
            f"sums of its products reach {reach}, which int32 does not hold",
            "Give its weight or its input fewer bits, or divide its channels into groups",
        )
    return reach


def _unchanged(weight: Tensor, groups: int) -> Tensor:
    return weight


def _outputs_first(weight: Tensor, groups: int) -> Tensor:
    """``Tensor[C_in, C_out / groups, ...]`` of a transposed convolution as ``Tensor[C_out, C_in / groups, ...]``."""
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)


def _pair(value: Any) -> tuple[int, int]:
    numbers = [int(n) for n in value] if isinstance(value, (list, tuple)) else [int(value)]
    return (numbers[0], numbers[-1])


def _padding(call: Call, weight: Tensor) -> tuple[int, int, int, int]:
    padding = call.argument("padding", 0)
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        dilation = _pair(call.argument("dilation", 1))
        total = [(weight.shape[2 + axis] - 1) * dilation[axis] for axis in (0, 1)]
        return (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    rows, columns = _pair(padding)
    return (rows, rows, columns, columns)
