"""Where numbers become integers, and where integers become numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...grids.grid import broadcast
from ..arithmetic.base import Arithmetic
from ..code_grid import CodeGrid
from .base import Operation, register_operation


@register_operation("quantize")
@dataclass(frozen=True, eq=False, kw_only=True)
class Quantize(Operation):
    """Codes of the nearest levels of a float tensor, halves to even, in float32 as fake quantization computes them.

    Attributes:
        grid: of the codes.
    """

    grid: CodeGrid

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        return arithmetic.take(self.grid.codes(inputs[0]), self.grid.dtype)


@register_operation("dequantize")
@dataclass(frozen=True, eq=False, kw_only=True)
class Dequantize(Operation):
    """``sum of (t_i - zero_point_i) * scale_i + bias`` as float32, computed in float64.

    Attributes:
        zero_points: int32 in the shape of ``scale``.
        scale: float64 ``Tensor[inputs, C]`` or ``Tensor[inputs, 1]``.
        bias: float64 ``Tensor[C]`` or ``Tensor[1]``.
        axis: dimension of the C channels.
    """

    zero_points: Tensor
    scale: Tensor
    bias: Tensor
    axis: int

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        total = self._spread(self.bias, inputs[0])
        for zero, scale, x in zip(self.zero_points, self.scale, inputs, strict=True):
            total = total + (x.double() - self._spread(zero, x)) * self._spread(scale, x)
        return total.to(torch.float32)

    def _spread(self, values: Tensor, x: Tensor) -> Tensor:
        return values.view(()) if values.shape[0] == 1 else broadcast(values, x, self.axis)


@register_operation("constant")
@dataclass(frozen=True, eq=False, kw_only=True)
class Literal(Operation):
    """A tensor that is the same for all inputs.

    Attributes:
        value: the tensor.
    """

    value: Tensor

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        return self.value
