"""Writes the operations of a program, and puts values on grids."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..code_grid import CodeGrid, storage_type
from ..operations import Clamp, Dequantize, Literal, LookUp, Operation, Rescale, Step
from .errors import refusal
from .functions import function_of, has_table, preactivation_grid, table_root
from .rescaling import multipliers
from .scaled import materialized
from .values import (
    Affine,
    Clipped,
    Coded,
    Constant,
    FloatTensor,
    Moved,
    Pointwise,
    Scalar,
    Scaled,
    Term,
    Value,
    replace_values,
)

# Steps of an argument, in those of its function, from which 16 bits are too few, as for a small range behind SiLU.
_COARSE = 1 / 16


class Builder:
    """A program in the making.

    Attributes:
        operations: so far.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._on_grid: dict[tuple[int, CodeGrid, int, int], str] = {}
        self._float: dict[int, str] = {}
        self._kept: list[Value] = []  # whose ids are keys

    def emit(self, operation: Callable[..., Operation], layer: str, *inputs: str, **fields: Any) -> str:
        """Add an operation; the name of its output."""
        name = f"%v{len(self.operations)}"
        self.operations.append(operation(inputs=inputs, output=name, layer=layer, **fields))
        return name

    def on_grid(self, value: Value, grid: CodeGrid, layer: str, low: int | None = None, high: int | None = None) -> str:
        """Codes of a value on a grid.

        Args:
            value: made of integers.
            grid: the grid, with one zero-point.
            layer: who asks, for messages.
            low, high: levels to which it is limited besides.

        Returns:
            name of the codes.

        Raises:
            IntegerLoweringError: numbers that integers cannot hold.
        """
        low, high = max(grid.low, grid.low if low is None else low), min(grid.high, grid.high if high is None else high)
        key = (id(value), grid, low, high)
        if key not in self._on_grid:
            self._kept.append(value)
            self._on_grid[key] = self._put(value, grid, layer, low, high)
        return self._on_grid[key]

    def _put(self, value: Value, grid: CodeGrid, layer: str, low: int, high: int) -> str:
        if isinstance(value, Coded) and value.grid == grid:
            return self._limited(value, low, high, layer)
        if isinstance(value, Clipped):
            ends = grid.levels(torch.tensor([value.low, value.high])).tolist()
            return self.on_grid(value.base, grid, layer, max(low, ends[0]), min(high, ends[1]))
        if isinstance(value, Pointwise):
            return self._looked_up(value, grid, layer, low, high)
        if isinstance(value, Moved):
            return self._moved(value, grid, layer, low, high)
        affine = materialized(self, value, grid, layer) if isinstance(value, Scaled) else as_affine(value)
        assert affine is not None
        try:
            c, d, b = multipliers(affine, grid)
        except ValueError as error:
            raise refusal(layer, "quantization of its input", str(error), "Calibrate it anew") from error
        names = [term.tensor for term in affine.terms]
        return self.emit(Rescale, layer, *names, c=c, d=d, b=b, axis=affine.axis, grid=grid, low=low, high=high)

    def _limited(self, value: Coded, low: int, high: int, layer: str) -> str:
        grid = value.grid
        if (low, high) == (grid.low, grid.high):
            return value.tensor
        codes = [2 * level + 1 if grid.half else level for level in (low, high)]
        return self.emit(Clamp, layer, value.tensor, low=codes[0], high=codes[1])

    def _looked_up(self, value: Pointwise, grid: CodeGrid, layer: str, low: int, high: int) -> str:
        root = table_root(value)
        function = function_of(value, root)
        if has_table(root):
            source, codes = root.grid, root.tensor
        else:
            source = preactivation_grid(function, grid)
            if source.step > _COARSE * grid.step:
                fine = Scaled(base=value, factor=torch.ones(1, dtype=torch.float64), axis=1, rank=value.rank)
                return self._put(fine, grid, layer, low, high)
            codes = self.on_grid(root, source, layer)
        levels = grid.levels(function(source.values(source.all_codes()))).clamp(low, high)
        table = (2 * levels + 1 if grid.half else levels).to(grid.dtype)
        return self.emit(LookUp, layer, codes, table=table, first=source.first, stride=source.stride)

    def _moved(self, value: Moved, grid: CodeGrid, layer: str, low: int, high: int) -> str:
        assert value.origin is not None
        arguments = list(value.origin.arguments)
        if value.origin.name.startswith("constant_pad_nd"):
            filling = arguments[2] if len(arguments) > 2 else 0.0
            arguments[2:] = [int(grid.codes(torch.tensor(float(filling))).clamp(grid.first, grid.last))]
        return self.step(
            value.origin.operator,
            arguments,
            value.origin.keywords,
            value.origin.layer,
            lambda part: self.on_grid(part, grid, layer, low, high),
            floating=False,
        )

    def step(
        self,
        operator: Any,
        arguments: list[Any],
        keywords: dict[str, Any],
        layer: str,
        name_of: Callable[[Value], str],
        *,
        floating: bool,
    ) -> str:
        """Add an ATen operator on tensors that ``name_of`` names; the name of its output."""
        inputs: list[str] = []

        def refer(part: Value) -> dict[str, Any]:
            if isinstance(part, Scalar):
                return {"size": part.size}
            inputs.append(name_of(part))
            return {"tensor": len(inputs) - 1}

        arguments = _plain(replace_values(arguments, refer))
        keywords = {key: _plain(replace_values(item, refer)) for key, item in keywords.items() if key in _KEYWORDS}
        name = str(operator).split(".", 1)[1]
        fields = {"name": name, "arguments": arguments, "keywords": keywords, "floating": floating}
        return self.emit(Step, layer, *inputs, **fields)

    def as_float(self, value: Value) -> str:
        """A float tensor of what a value stands for; its name."""
        if isinstance(value, FloatTensor):
            return value.tensor
        if id(value) not in self._float:
            self._kept.append(value)
            self._float[id(value)] = self._to_float(value)
        return self._float[id(value)]

    def _to_float(self, value: Value) -> str:
        origin = value.origin
        layer = "" if origin is None else origin.layer
        if isinstance(value, Constant):
            return self.emit(Literal, layer, value=value.tensor)
        affine = as_affine(value)
        if affine is not None:
            columns = torch.broadcast_tensors(*(term.scale for term in affine.terms), affine.bias)
            scale = torch.stack(columns[:-1]).reshape(len(affine.terms), -1)
            zeros = torch.stack([term.zero_point.expand(scale.shape[1]) for term in affine.terms]).int()
            names = [term.tensor for term in affine.terms]
            bias = columns[-1].reshape(-1).contiguous()
            return self.emit(Dequantize, layer, *names, zero_points=zeros, scale=scale, bias=bias, axis=affine.axis)
        assert origin is not None
        return self.step(origin.operator, list(origin.arguments), origin.keywords, layer, self.as_float, floating=True)


def as_affine(value: Value) -> Affine | None:
    """A value as a sum of terms; None where it is none."""
    if isinstance(value, Affine):
        return value
    if not isinstance(value, Coded):
        return None
    grid = value.grid
    term = Term(
        value.tensor,
        grid.zero_points().long(),
        torch.tensor(grid.unit, dtype=torch.float64),
        max(abs(grid.first), abs(grid.last)),
    )
    return Affine(terms=(term,), axis=1 if grid.axis is None else grid.axis, origin=value.origin, rank=value.rank)


# What else an operator may be told by name (devices, layouts) means nothing to a program.
_KEYWORDS = ("alpha", "dtype", "approximate", "rounding_mode", "correction")


def _plain(argument: Any) -> Any:
    """Arguments as plain values."""
    if isinstance(argument, torch.dtype):
        return {"dtype": str(argument).removeprefix("torch.")}
    if isinstance(argument, (list, tuple)):
        return [_plain(item) for item in argument]
    if argument is None or isinstance(argument, (bool, int, float, str, dict)):
        return argument
    return None


def narrowest(numbers: Tensor) -> Tensor:
    """Whole numbers in the narrowest type."""
    low, high = (int(numbers.min()), int(numbers.max())) if numbers.numel() else (0, 0)
    return numbers.to(storage_type(low, high))
