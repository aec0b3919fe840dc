"""Functions times one number a channel: fine enough for the channel with the smallest steps."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..code_grid import CodeGrid
from ..operations import Interpolate, LookUp
from .functions import changing_range, even_grid, function_of, has_table, table_root
from .values import Affine, Scaled, Term

if TYPE_CHECKING:
    from .builder import Builder

# Of the function's argument and of its result.
_BITS = 24
_POINTS_BITS = 12


def materialized(builder: "Builder", value: Scaled, grid: CodeGrid, layer: str) -> Affine:
    """The function's result as codes of 24 bits, and what they stand for.

    A table gives it where the argument has codes, else straight lines between 4,097 points: with SiLU, whose second
    derivative is at most 1/2, these are off by ``(range / 4096) ** 2 / 16`` at most.
    """
    root = table_root(value.base)
    function = function_of(value.base, root)
    if has_table(root):
        source = root.grid
        results = function(source.values(source.all_codes())).double()
        step, codes = _fine(results)
        fields = {"first": source.first, "stride": source.stride}
        name = builder.emit(LookUp, layer, root.tensor, table=codes, **fields)
    else:
        source = even_grid(*_needed(function, value.factor, grid), _BITS)
        spacing = 2 ** (_BITS - _POINTS_BITS)
        points = source.first + spacing * torch.arange(2**_POINTS_BITS + 1, dtype=torch.int32)
        results = function(source.values(points)).double()
        step, codes = _fine(results)
        argument = builder.on_grid(root, source, layer)
        fields = {"first": source.first, "shift": _BITS - _POINTS_BITS}
        name = builder.emit(Interpolate, layer, argument, table=codes, **fields)
    zero = torch.zeros((), dtype=torch.int64)
    term = Term(name, zero, step * value.factor, int(codes.abs().max()))
    return Affine(terms=(term,), axis=value.axis, origin=value.origin, rank=value.rank)


def _fine(results: Tensor) -> tuple[float, Tensor]:
    """A step of which the largest result has 2 ** 23, and the results' codes, int32."""
    step = max(float(results.abs().max()), 1e-30) / 2 ** (_BITS - 1)
    return step, (results / step).round().int()


def _needed(function: Callable[[Tensor], Tensor], factor: Tensor, grid: CodeGrid) -> tuple[float, float]:
    """The arguments between which any channel changes: those with the largest and smallest factors of either sign."""
    signs = [factor[factor > 0], factor[factor < 0]]
    extremes = {float(end) for side in signs if side.numel() for end in (side.min(), side.max())}
    ranges = [changing_range(lambda x, f=f: function(x) * f, grid) for f in extremes]  # type: ignore[misc]
    return min(bottom for bottom, _ in ranges), max(top for _, top in ranges)
