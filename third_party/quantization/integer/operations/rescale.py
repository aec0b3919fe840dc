"""From sums of products to codes, from one grid to another, and sums of tensors on different grids."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ...grids.grid import broadcast
from ..arithmetic.base import Arithmetic
from ..code_grid import CodeGrid
from .base import Operation, register_operation


@register_operation("rescale")
@dataclass(frozen=True, eq=False, kw_only=True)
class Rescale(Operation):
    """Levels ``round((sum of c_i * t_i + b) / 2 ** d)`` of ``grid``, limited to ``low`` and ``high``.

    With one input it is a requantization, with batch norm, bias and zero-points in it; with two it is the addition of
    two branches whose scales are brought together (AQD, arXiv 2007.06919, section 3.4). A ReLU is a limit.

    Attributes:
        c: multipliers, int32 ``Tensor[inputs, C]`` or ``Tensor[inputs, 1]``.
        d: shifts, int8 ``Tensor[C]`` or ``Tensor[1]``, 0 to 62.
        b: biases in units of the products, int64 as d.
        axis: dimension of the C channels.
        grid: of the output.
        low, high: lowest and highest level that can come out.
    """

    c: Tensor
    d: Tensor
    b: Tensor
    axis: int
    grid: CodeGrid
    low: int
    high: int

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        like = inputs[0]
        d, b = (self._spread(values.long(), like) for values in (self.d, self.b))
        c = [self._spread(values.long(), x) for values, x in zip(self.c, inputs, strict=True)]
        levels = arithmetic.clamp(arithmetic.combine(inputs, c, d, b), self.low, self.high)
        return arithmetic.take(2 * levels + 1 if self.grid.half else levels, self.grid.dtype)

    def _spread(self, values: Tensor, x: Tensor) -> Tensor:
        return values.view(()) if values.shape[0] == 1 else broadcast(values, x, self.axis)


@register_operation("clamp")
@dataclass(frozen=True, eq=False, kw_only=True)
class Clamp(Operation):
    """Codes limited to a range, on the grid that they have.

    Attributes:
        low, high: lowest and highest code.
    """

    low: int
    high: int

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        return arithmetic.clamp(inputs[0], self.low, self.high)


@register_operation("look_up")
@dataclass(frozen=True, eq=False, kw_only=True)
class LookUp(Operation):
    """A function of one tensor of codes, as a table.

    Attributes:
        table: the output's codes for the input's codes in order, in the narrowest type of integers.
        first, stride: the input's lowest code and the difference of neighbours.
    """

    table: Tensor
    first: int
    stride: int

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        return arithmetic.look_up(inputs[0], self.table, self.first, self.stride)


@register_operation("interpolate")
@dataclass(frozen=True, eq=False, kw_only=True)
class Interpolate(Operation):
    """A function of one tensor of codes, straight lines between evenly spaced points.

    Attributes:
        table: the output's codes at the points, int32.
        first: the input's lowest code, which is the first point.
        shift: points are ``2 ** shift`` codes apart.
    """

    table: Tensor
    first: int
    shift: int

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        return arithmetic.interpolate(inputs[0], self.table, self.first, self.shift)
