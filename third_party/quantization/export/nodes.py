"""Reading the two operators of quantization in a traced graph."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from ..functional import dequantize, operators  # noqa: F401  operators are defined by being imported

FAKE_QUANTIZE = torch.ops.third_party_quantization.fake_quantize.default
DEQUANTIZE = torch.ops.third_party_quantization.dequantize.default


@dataclass(frozen=True)
class TensorGrid:
    """Levels ``(k - zero_point + h) * step`` of a tensor, k whole in [low, high]; h is 1/2 with ``half``, else 0.

    Equal grids compare equal and hash alike.

    Attributes:
        step, zero_point: one of each, or one for each group of channels along ``axis``; steps are float32 numbers.
        low, high: numbers of the lowest and highest level.
        axis: dimension of the groups, or None.
        half: levels lie half a step beside the whole ones.
    """

    step: tuple[float, ...]
    zero_point: tuple[int, ...]
    low: int
    high: int
    axis: int | None = None
    half: bool = False

    @property
    def bits(self) -> int:
        """Bits that count the levels."""
        return (self.high - self.low).bit_length()

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest level of all groups."""
        h = 0.5 * self.half
        pairs = list(zip(self.step, self.zero_point, strict=True))
        return min((self.low - z + h) * s for s, z in pairs), max((self.high - z + h) * s for s, z in pairs)

    def describe(self) -> str:
        """A few words for a message."""
        groups = "" if len(self.step) == 1 else f", {len(self.step)} groups along axis {self.axis}"
        low, high = self.ends
        return f"{self.bits} bits over [{low:.4g}, {high:.4g}]{groups}" + (", half levels" if self.half else "")


def constants(program: ExportedProgram) -> dict[str, Tensor]:
    """Parameters, buffers and other tensors that a program holds, by the names of their placeholders."""
    signature = program.graph_signature
    tensors = {**program.constants, **program.state_dict}
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {name: tensors[target] for name, target in sources.items() if isinstance(tensors.get(target), Tensor)}


def fake_quantizations(program: ExportedProgram) -> Iterator[Node]:
    """The nodes that put a tensor on its grid, in the order of the graph."""
    return (node for node in program.graph.nodes if node.target is FAKE_QUANTIZE)


def grid_of(node: Node, known: dict[str, Tensor]) -> TensorGrid:
    """The levels of a node of :func:`fake_quantizations`.

    Args:
        node: the node.
        known: from :func:`constants`.

    Raises:
        ValueError: its range is computed in the graph.
    """
    step, zero_point, low, high, axis, half = (node.args + (None, False))[1:7]
    values = [known.get(value.name) if isinstance(value, Node) else None for value in (step, zero_point)]
    if values[0] is None or values[1] is None:
        raise ValueError(f"{layer_name(node)}: the range of {node.name} is computed in the graph, it must be constant")
    steps, zeros = values[0].detach().float().reshape(-1), values[1].detach().float().round().int().reshape(-1)
    return TensorGrid(tuple(steps.tolist()), tuple(zeros.tolist()), int(low), int(high), axis, bool(half))  # type: ignore[arg-type]


def layer_name(node: Node) -> str:
    """Qualified name of the module in whose forward a node was made; "the model itself" outside of all."""
    stack = node.meta.get("nn_module_stack") or {}
    names = [entry[0] for entry in stack.values()]
    return names[-1] if names and names[-1] else "the model itself"


def tensor_names(program: ExportedProgram) -> dict[str, str]:
    """Name of every quantized tensor, by the name of its node: that of the quantizer, numbered if it is used again.

    They name tensors in files, reports and findings.
    """
    buffers = program.graph_signature.inputs_to_buffers
    names: dict[str, str] = {}
    used: dict[str, int] = {}
    for node in fake_quantizations(program):
        target = buffers.get(getattr(node.args[1], "name", ""), "")
        owner, _, leaf = target.rpartition(".")
        name = owner if leaf == "step" else target.removesuffix("_step") or node.name
        used[name] = used.get(name, 0) + 1
        names[node.name] = name if used[name] == 1 else f"{name}#{used[name]}"
    return names
