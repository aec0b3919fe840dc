"""One quantization for equal quantizations of a tensor."""

from torch.export import ExportedProgram
from torch.fx import Node

from ..nodes import TensorGrid, constants, fake_quantizations, grid_of


def merge(program: ExportedProgram) -> int:
    """Let all that quantizes a tensor in the same way use one node. Returns how many went."""
    known, first = constants(program), dict[tuple[Node, TensorGrid], Node]()
    gone = 0
    for node in list(fake_quantizations(program)):
        tensor = node.args[0]
        assert isinstance(tensor, Node)
        kept = first.setdefault((tensor, grid_of(node, known)), node)
        if kept is not node:
            node.replace_all_uses_with(kept)
            program.graph.erase_node(node)
            gone += 1
    return gone
