"""The rules of the linter by name, and what they look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from ..findings import Finding
from ..lowering.targets import Target, find_target
from ..nodes import TensorGrid, constants, fake_quantizations, grid_of, tensor_names


@dataclass
class Graph:
    """A program with what the rules ask of it.

    Attributes:
        program: traced; normalised or not.
        target: for which it is to be exported.
    """

    program: ExportedProgram
    target: Target = field(default_factory=lambda: find_target("generic"))

    @cached_property
    def constants(self) -> dict[str, Tensor]:
        """Tensors that the program holds, by their nodes' names."""
        return constants(self.program)

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of quantized tensors by their nodes' names."""
        return tensor_names(self.program)

    @cached_property
    def grids(self) -> dict[Node, TensorGrid]:
        """The levels of each node that quantizes."""
        return {node: grid_of(node, self.constants) for node in fake_quantizations(self.program)}

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in order."""
        return list(self.program.graph.nodes)


ProgramRule = Callable[[Graph], Iterator[Finding]]
ModelRule = Callable[[nn.Module], Iterator[Finding]]
PROGRAM_RULES: dict[str, ProgramRule] = {}
MODEL_RULES: dict[str, ModelRule] = {}


def program_rule(rule: ProgramRule) -> ProgramRule:
    """Register a rule that looks at traced programs, under the name of the function."""
    PROGRAM_RULES[rule.__name__] = rule
    return rule


def model_rule(rule: ModelRule) -> ModelRule:
    """Register a rule that looks at prepared or converted models, under the name of the function."""
    MODEL_RULES[rule.__name__] = rule
    return rule
