"""Steps that choose among values or copy them: their results stay on the grid."""

from .calls import Call, handles
from .parts import DIVIDING, slices
from .values import Coded, IntegerValue, Moved, Value, values_in

_UNCHANGED = (
    "alias detach clone contiguous dropout feature_dropout lift_fresh_copy lift_fresh to _to_copy type_as identity"
).split()
_MOVING = (
    "cat constant_pad_nd expand flatten flip index_select max_pool2d movedim narrow pad permute pixel_shuffle "
    "pixel_unshuffle repeat reshape select slice squeeze stack t transpose unflatten unsqueeze upsample_nearest2d view "
    "_unsafe_view"
).split()


@handles(*_UNCHANGED)
def unchanged(call: Call) -> Value | None:
    """The value itself; casts to other types than float leave the integers."""
    result, value = call.result, call.origin.arguments[0]
    return value if result is None or result.is_floating_point() else None


@handles(*_MOVING)
def move(call: Call) -> Value | None:
    """Values at other places: codes where all operands are on one grid, else put on the grid that is asked for."""
    origin = call.origin
    if origin.name == "pad.default" and call.argument("mode") not in ("constant", None):
        return None
    operands = [value for value in values_in(list(origin.arguments)) if isinstance(value, IntegerValue)]
    tensors = values_in(list(origin.arguments[:1]))
    if len(tensors) != len(operands):
        return None
    moved = Moved(origin=origin, rank=call.rank)
    grids = {operand.grid if isinstance(operand, Coded) else None for operand in operands}
    grid = grids.pop()
    if grids or grid is None or grid.axis is not None:
        return moved
    name = call.builder.on_grid(moved, grid, origin.layer)
    return Coded(tensor=name, grid=grid, origin=origin, rank=call.rank)


@handles(*DIVIDING)
def divide(call: Call) -> tuple[Value, ...] | None:
    """Several parts of one tensor."""
    parts = [move(part) for part in slices(call)]
    return None if None in parts else tuple(part for part in parts if part is not None)
