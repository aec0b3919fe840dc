"""Quantization before steps that only choose values, where the tensor is smaller and other readers share it."""

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from ..nodes import FAKE_QUANTIZE, TensorGrid, constants, fake_quantizations, grid_of
from .through import passes_values, source

_SIZE = torch.ops.aten.sym_size.int


def hoist(program: ExportedProgram) -> int:
    """Move quantization before nearest upsampling, max pooling, slicing and the like. Returns how many moved.

    Rounding and clipping keep the order of values, so they commute with choosing among them. It is done where every
    reader of the values quantizes them in this way, or one quantizes the tensor itself so: otherwise a tensor would be
    quantized that also stays in float.
    """
    known, moved = constants(program), 0
    for node in list(fake_quantizations(program)):
        grid = grid_of(node, known)
        step = node.args[0]
        assert isinstance(step, Node)
        if grid.axis is not None or not passes_values(step):
            continue
        first = _first_step(step)
        tensor = source(first)
        if tensor.target is FAKE_QUANTIZE and grid_of(tensor, known) == grid:
            continue  # a repeat
        readers = _movable(tensor, first, grid, known)
        if not readers:
            continue
        with program.graph.inserting_before(_first_after(tensor)):
            early = program.graph.call_function(FAKE_QUANTIZE, (tensor, *node.args[1:]), dict(node.kwargs))
        early.meta = {**node.meta, "val": torch.empty_like(tensor.meta["val"])}
        for reader in readers:
            reader.replace_input_with(tensor, early)
        moved += 1
    return moved


def _movable(tensor: Node, first: Node, grid: TensorGrid, known: dict[str, Tensor]) -> list[Node]:
    """The readers of a tensor that can read it quantized instead; ``first`` is to be among them, or there are none."""
    alike = {reader: _quantizes_alike(reader, grid, known) for reader in tensor.users}
    if all(alike.values()):
        return [reader for reader in tensor.users if reader.target is not _SIZE]
    there = any(reader.target is FAKE_QUANTIZE and alike[reader] for reader in tensor.users)
    return [first] if there and alike[first] else []


def _first_after(tensor: Node) -> Node:
    """The node before which a reader of a tensor can stand: behind all inputs, if it is one of them."""
    node = tensor.next
    while node.op == "placeholder":
        node = node.next
    return node


def _first_step(step: Node) -> Node:
    """The first of the steps that pass values on until ``step``."""
    while passes_values(source(step)):
        step = source(step)
    return step


def _quantizes_alike(reader: Node, grid: TensorGrid, known: dict[str, Tensor]) -> bool:
    """Whether a reader quantizes in the given way, or passes values to readers that all do."""
    if reader.target is FAKE_QUANTIZE:
        return grid_of(reader, known) == grid
    if reader.target is _SIZE:
        return True
    if not passes_values(reader) or not reader.users:
        return False
    return all(_quantizes_alike(user, grid, known) for user in reader.users)
