"""The two operators by which a traced graph tells of quantization."""

import torch
from torch import Tensor

from ...grids.grid import broadcast
from ..code_grid import CodeGrid
from ..operations import Quantize
from .calls import Call
from .values import Coded, Constant, FloatTensor, IntegerValue, Weight


def quantize(call: Call) -> Coded:
    """``fake_quantize``: a tensor is put on a grid."""
    value, layer = call.origin.arguments[0], call.origin.layer
    grid = _grid(call)
    if isinstance(value, FloatTensor):
        if value.left is not None:
            left = value.left
            raise call.refuse(
                f"it quantizes what {left.name.partition('.')[0]} in layer {left.layer!r} computes in float from "
                "quantized tensors",
                "Integer programs compute in float only before the first and behind the last integer. Quantize the "
                f"operands of {left.layer!r} (ELEMENTWISE for sums and concatenations, NONLINEAR for activation "
                "functions), or end the traced part before it",
            )
        name = call.builder.emit(Quantize, layer, value.tensor, grid=grid)
        return Coded(tensor=name, grid=grid, origin=call.origin, rank=value.rank)
    assert isinstance(value, IntegerValue)
    if grid.axis is not None:
        raise call.refuse("its grid has several zero-points", "Use granularity 'tensor' for activations")
    name = call.builder.on_grid(value, grid, layer)
    return Coded(tensor=name, grid=grid, origin=call.origin, rank=value.rank, roots=value.roots)


def dequantize(call: Call) -> Weight:
    """``dequantize``: integer weights."""
    codes, scale, zero = (_constant(call, name) for name in ("codes", "scale", "zero_point"))
    axis = call.argument("axis")
    spread = [
        broadcast(v, codes, axis).expand(codes.shape) if v.dim() < 2 else v.expand(codes.shape) for v in (scale, zero)
    ]
    return Weight(codes=codes, scale=spread[0], zero_point=spread[1], rank=codes.dim(), origin=call.origin)


def _grid(call: Call) -> CodeGrid:
    step, zero = (_constant(call, name).float() for name in ("step", "zero_point"))
    if step.numel() > 1 and not bool((step == step.reshape(-1)[0]).all()):
        raise call.refuse("its input has several scales", "Use granularity 'tensor' for activations")
    zeros = [int(number) for number in zero.round().reshape(-1)]
    several = len(set(zeros)) > 1
    axis = call.argument("axis")
    value = call.origin.arguments[0]
    return CodeGrid(
        float(step.reshape(-1)[0]),
        tuple(zeros) if several else (zeros[0],),
        int(call.argument("low")),
        int(call.argument("high")),
        bool(call.argument("half", False)),
        int(axis) % value.rank if several and axis is not None else None,
    )


def _constant(call: Call, name: str) -> Tensor:
    value = call.argument(name)
    if not isinstance(value, Constant):
        raise call.refuse(f"its {name} is computed", "Convert the model first: ranges and weights must be constant")
    return value.tensor.detach() if isinstance(value.tensor, Tensor) else torch.tensor(value)
