"""Passes that bring the quantization of a traced graph into its simplest form; none changes what it computes."""

from collections.abc import Callable

from torch.export import ExportedProgram

from . import clipping, hoisting, merging, repeats

# In this order: hoisting brings equal quantizations together, merging shows repeats.
PASSES: dict[str, Callable[[ExportedProgram], int]] = {
    "hoist": hoisting.hoist,
    "merge": merging.merge,
    "remove_repeats": repeats.remove_repeats,
    "drop_clipping": clipping.drop_clipping,
}


def normalise(program: ExportedProgram) -> ExportedProgram:
    """Quantize each tensor once, as early as possible: all passes, in place, until none finds anything.

    Args:
        program: from ``torch.export``.

    Returns:
        the same program.
    """
    while sum([run(program) for run in PASSES.values()]):
        program.graph.eliminate_dead_code()
    program.graph.eliminate_dead_code()
    program.graph.lint()
    program.graph_module.recompile()
    return program
