"""Running a traced program in PyTorch, with a look at its quantized tensors."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Interpreter, Node

from .landmarks import landmark_names
from .nodes import tensor_names


@torch.no_grad()
def simulate(
    program: ExportedProgram, inputs: Sequence[Tensor], given: Mapping[str, Tensor] | None = None
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """What a program computes in float32, quantization simulated.

    Args:
        program: from :func:`~.trace.trace`.
        inputs: one tensor for each input.
        given: values of quantized tensors and landmarks, by name, with which to go on in place of the computed ones, so
            that what comes behind them is judged by itself.

    Returns:
        the outputs, and every quantized tensor and landmark, as computed, by its name (:func:`~.nodes.tensor_names`,
        :func:`~.landmarks.landmark_names`).

    Raises:
        ValueError: too few or too many inputs.
    """
    signature = program.graph_signature
    if len(inputs) != len(signature.user_inputs):
        raise ValueError(f"{len(inputs)} inputs for a program of {len(signature.user_inputs)}")
    tensors: dict[str, Any] = {**program.constants, **program.state_dict}
    users, arguments = iter(inputs), []
    for spec in signature.input_specs:
        arguments.append(next(users) if spec.target is None else tensors[spec.target])
    names = tensor_names(program) | landmark_names(program)
    recorder = _Recorder(program.graph_module, names, given or {})
    outputs = recorder.run(*arguments)
    return [value for value in outputs if isinstance(value, Tensor)], recorder.seen


class _Recorder(Interpreter):
    def __init__(self, module: torch.fx.GraphModule, names: Mapping[str, str], given: Mapping[str, Tensor]) -> None:
        super().__init__(module)
        self.names, self.given = names, given
        self.seen: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.name not in self.names:
            return result
        name = self.names[n.name]
        self.seen[name] = result
        return self.given.get(name, result)
