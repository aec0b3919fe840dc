"""Operators that keep the order of values, so that bounds go through them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

# Operators of one tensor, or of some that all must be known.
_MOVES = frozenset(
    {
        *(aten.slice, aten.narrow, aten.select, aten.split, aten.split_with_sizes, aten.unbind, aten.cat, aten.stack),
        *(aten.view, aten._unsafe_view, aten.reshape, aten.permute, aten.transpose, aten.squeeze, aten.unsqueeze),
        *(aten.expand, aten.repeat, aten.clone, aten.alias, aten.detach, aten._to_copy, aten.flip),
        *(aten.constant_pad_nd, aten.reflection_pad2d, aten.replication_pad2d),
        *(aten.pixel_shuffle, aten.pixel_unshuffle, aten.upsample_nearest2d, aten.avg_pool2d),
    }
)
# Operators of a known tensor and numbers, or constants of the model.
_SHIFTS_AND_SCALES = frozenset({aten.add, aten.sub, aten.rsub, aten.mul, aten.neg})
_QUOTIENTS = frozenset({aten.div})


def keeps_order(operator: Any, args: Sequence[Any], known: Sequence[Tensor], constant: Sequence[bool]) -> bool:
    """Whether an operator makes of each known value one that rises with it, or falls with it, or moves it only.

    Args:
        operator: an overload packet, such as ``torch.ops.aten.add``.
        args: its positional arguments.
        known: the tensors among its inputs that have bounds, one or more.
        constant: for each of the other tensors among its inputs, whether it is the same whatever the data.
    """
    if operator in _MOVES:
        return not constant
    if operator not in _SHIFTS_AND_SCALES | _QUOTIENTS or len(known) > 1:
        return False
    if operator in _QUOTIENTS and known[0] is not args[0]:
        return False
    return all(constant)
