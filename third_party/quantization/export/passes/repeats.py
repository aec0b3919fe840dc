"""No second quantization of what is on the grid already."""

from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from ..nodes import FAKE_QUANTIZE, TensorGrid, constants, fake_quantizations, grid_of
from .through import JOINS, passes_values, source


def remove_repeats(program: ExportedProgram) -> int:
    """Remove quantizations of tensors that consist of levels of the same grid. Returns how many went."""
    known, gone = constants(program), 0
    for node in list(fake_quantizations(program)):
        tensor, grid = node.args[0], grid_of(node, known)
        assert isinstance(tensor, Node)
        if grid.axis is None and is_on_grid(tensor, grid, known):
            node.replace_all_uses_with(tensor)
            program.graph.erase_node(node)
            gone += 1
    return gone


def is_on_grid(tensor: Node, grid: TensorGrid, known: dict[str, Tensor]) -> bool:
    """Whether all values of a tensor are levels of ``grid``, which has one range.

    Args:
        tensor: the node that makes it.
        grid: the levels.
        known: from :func:`~..nodes.constants`.
    """
    if tensor.target is FAKE_QUANTIZE:
        return grid_of(tensor, known) == grid
    if tensor.target in JOINS:
        parts = tensor.args[0]
        assert isinstance(parts, (list, tuple))
        return all(isinstance(part, Node) and is_on_grid(part, grid, known) for part in parts)
    return passes_values(tensor) and is_on_grid(source(tensor), grid, known)
