"""Functions value by value: what they are, and the grid on which their argument has to be."""

from collections.abc import Callable, Sequence
from typing import TypeGuard

import torch
from torch import Tensor

from ..code_grid import CodeGrid
from .values import Coded, Constant, Value, replace_values

# Grid of a pre-activation that the model does not quantize.
PREACTIVATION_BITS = 16
_LARGEST_RANGE = 2.0**20
_WIDEST_TABLE = 2**16


def function_of(value: Value, root: Value) -> Callable[[Tensor], Tensor]:
    """How ``value`` follows from ``root``, in the float32 arithmetic of the model's own operators."""

    def compute(x: Tensor) -> Tensor:
        done: dict[int, Tensor] = {id(root): x}

        def visit(part: Value) -> Tensor:
            if isinstance(part, Constant):
                return part.tensor.reshape(())
            if id(part) not in done:
                assert part.origin is not None
                arguments = replace_values(list(part.origin.arguments), visit)
                done[id(part)] = part.origin.operator(*arguments, **replace_values(part.origin.keywords, visit))
            return done[id(part)]

        return visit(value)

    return compute


def common_roots(values: Sequence[Value]) -> tuple[Value, ...]:
    """The roots that all values have, the nearest to the first one first."""
    first, *others = values
    return tuple(root for root in first.roots if all(any(root is other for other in v.roots) for v in others))


def table_root(value: Value) -> Value:
    """The root from which a table computes ``value``: one with codes if there is one."""
    return next((root for root in value.roots if isinstance(root, Coded)), value.roots[0])


def has_table(root: Value) -> TypeGuard[Coded]:
    """Whether a table over the root's own codes is small enough, and one for all channels."""
    return isinstance(root, Coded) and root.grid.high - root.grid.low < _WIDEST_TABLE and root.grid.axis is None


def preactivation_grid(function: Callable[[Tensor], Tensor], grid: CodeGrid) -> CodeGrid:
    """16-bit levels over the arguments between which ``function``, put on ``grid``, changes.

    Args:
        function: of float32 tensors, value by value; on ``grid`` it must be constant towards both infinities.
        grid: of its result.
    """
    bottom, top = changing_range(function, grid)
    return even_grid(bottom, top, PREACTIVATION_BITS)


def even_grid(bottom: float, top: float, bits: int) -> CodeGrid:
    """Signed levels of so many bits from ``bottom`` to ``top``, moved by up to half a step for a whole zero-point."""
    low = -(2 ** (bits - 1))
    step = float(torch.tensor((top - bottom) / (2**bits - 1), dtype=torch.float32))
    return CodeGrid(step, (round(low - bottom / step),), low, -low - 1)


def changing_range(function: Callable[[Tensor], Tensor], grid: CodeGrid) -> tuple[float, float]:
    """The arguments between which ``function``, put on ``grid``, changes, and a little more on either side."""
    # From a few steps on, and far enough that a function that is flat at first shows where it is not.
    factors = torch.logspace(0, 26, 131, base=2.0)
    end = min(0.25, 0.25 * grid.step)
    while end < _LARGEST_RANGE and not all(_constant(function, grid, sign * end * factors) for sign in (-1, 1)):
        end *= 2
    points = torch.linspace(-end, end, 2**PREACTIVATION_BITS + 1)
    changes = grid.levels(function(points)).diff().nonzero()
    bottom, top = (float(points[changes[0]]), float(points[changes[-1] + 1])) if changes.numel() else (-1.0, 1.0)
    # A point more on either side: the grid's ends move by up to half a step, and must stay beyond the last changes.
    spacing = 2 * end / 2**PREACTIVATION_BITS
    bottom, top = bottom - spacing, top + spacing
    # The whole zero-point moves the grid by up to half a step, which must not cost it the outermost levels.
    margin = float(points[1] - points[0])
    return bottom - margin, top + margin


def _constant(function: Callable[[Tensor], Tensor], grid: CodeGrid, points: Tensor) -> bool:
    levels = grid.levels(function(points))
    return bool((levels == levels[0]).all())
