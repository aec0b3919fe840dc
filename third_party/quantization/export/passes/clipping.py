"""No clipping before a quantization that clips as much itself."""

import math

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from ..nodes import FAKE_QUANTIZE, TensorGrid, constants, grid_of

aten = torch.ops.aten
_RELU = frozenset({aten.relu.default, aten.relu_.default})
_RELU6 = frozenset({aten.relu6.default, aten.relu6_.default})
_CLAMP = frozenset({aten.hardtanh.default, aten.hardtanh_.default, aten.clamp.default, aten.clamp_.default})


def drop_clipping(program: ExportedProgram) -> int:
    """Remove ReLU, ReLU6 and clamping whose readers all clip to a narrower range. Returns how many went."""
    known, gone = constants(program), 0
    for node in list(program.graph.nodes):
        bounds = bounds_of(node)
        if bounds is None or not node.users:
            continue
        if all(reader.target is FAKE_QUANTIZE and _within(grid_of(reader, known), bounds) for reader in node.users):
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
            gone += 1
    return gone


def bounds_of(node: Node) -> tuple[float, float] | None:
    """Between which values a node clips its input; None: it does something else."""
    if node.target in _RELU:
        return 0.0, math.inf
    if node.target in _RELU6:
        return 0.0, 6.0
    if node.target not in _CLAMP:
        return None
    defaults = (-1.0, 1.0) if "hardtanh" in str(node.target) else (None, None)
    low, high = (*node.args[1:], *defaults[len(node.args) - 1 :])[:2]
    if isinstance(low, Node) or isinstance(high, Node):
        return None
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)


def _within(grid: TensorGrid, bounds: tuple[float, float]) -> bool:
    low, high = grid.ends
    return bounds[0] <= low and high <= bounds[1]
