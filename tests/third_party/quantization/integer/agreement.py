"""Comparison of both executors with each other and with the float32 model, tensor by tensor."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import ExportedProgram

from tests.third_party.quantization.integer.models import Traced, reference
from third_party.quantization.integer import IntegerProgram, compile_program
from third_party.quantization.integer.arithmetic import IntegerArithmetic


@dataclass
class Agreement:
    """Difference of one quantized tensor from the float32 model, in levels.

    Attributes:
        name, layer: of the tensor.
        size: number of values.
        different, beyond: shares of values that differ, and that differ by more than one level.
        levels: different levels among its values.
    """

    name: str
    layer: str
    size: int
    different: float
    beyond: float
    levels: int


def executed(
    program: ExportedProgram | Traced, inputs: tuple[Tensor, ...]
) -> tuple[IntegerProgram, dict[str, Tensor], list[Tensor]]:
    """Compile and run; the executors must agree bit for bit on every quantized tensor and on the outputs."""
    compiled = compile_program(program)
    backends = ("integer", "simulation")
    integer, simulated = (compiled.execute(inputs, backend, compiled.quantized) for backend in backends)
    assert compiled.quantized
    for name in compiled.quantized:
        assert torch.equal(integer.taps[name], simulated.taps[name]), name
    for a, b in zip(integer.outputs, simulated.outputs, strict=True):
        assert torch.equal(a, b)
    return compiled, integer.taps, integer.outputs


@dataclass
class Comparison:
    """A program against the float32 model.

    Attributes:
        program: compiled.
        accumulated: each quantized tensor of a whole run: differences add up from layer to layer.
        local: each quantized tensor, computed from the float32 model's own codes of those before it.
        outputs, expected: of the whole run, and of the float32 model.
    """

    program: IntegerProgram
    accumulated: list[Agreement]
    local: list[Agreement]
    outputs: list[Tensor]
    expected: list[Tensor]


def compare(program: ExportedProgram | Traced, inputs: tuple[Tensor, ...]) -> Comparison:
    """Compile and run; the executors must agree bit for bit on every quantized tensor and on the outputs."""
    compiled, taps, outputs = executed(program, inputs)
    expected, quantized = reference(program, inputs)
    for ours, theirs in zip(outputs, expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    rows = [_agreement(compiled, name, codes, quantized) for name, codes in taps.items()]
    return Comparison(compiled, rows, layer_by_layer(compiled, inputs, quantized), outputs, expected)


@torch.no_grad()
def layer_by_layer(
    compiled: IntegerProgram, inputs: tuple[Tensor, ...], quantized: Mapping[str, Tensor]
) -> list[Agreement]:
    """Run a program, but go on from the given values of the quantized tensors; how far its own are from them."""
    names: dict[str, str] = {}
    for name, tensor in compiled.quantized.items():
        names.setdefault(tensor.tensor, name)
    symbols = compiled._bind(inputs)
    tensors, rows = {f"%{index}": x for index, x in enumerate(inputs)}, []
    arithmetic = IntegerArithmetic()
    for operation in compiled.operations:
        output = operation.run(arithmetic, [tensors[name] for name in operation.inputs], symbols)
        if operation.output in names:
            name = names[operation.output]
            rows.append(_agreement(compiled, name, output.int(), quantized))
            grid = compiled.quantized[name].grid
            output = arithmetic.take(grid.codes(quantized[name]), grid.dtype)
        tensors[operation.output] = output
    assert len(rows) == len(names)
    return rows


def _agreement(compiled: IntegerProgram, name: str, codes: Tensor, quantized: Mapping[str, Tensor]) -> Agreement:
    tensor = compiled.quantized[name]
    difference = (tensor.grid.codes(quantized[name]) - codes).abs() // tensor.grid.stride
    shares = [float((difference > limit).double().mean()) for limit in (0, 1)]
    return Agreement(name, tensor.layer, difference.numel(), *shares, len(codes.unique()))
