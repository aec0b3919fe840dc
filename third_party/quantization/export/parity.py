"""The gate after export: does a file compute what the model computes?"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from .choices import behind_choice
from .landmarks import LANDMARK, landmark_names
from .nodes import TensorGrid, constants, fake_quantizations, grid_of, tensor_names
from .parity_report import Difference, ParityError, ParityReport, Tolerance
from .runners import Runner
from .simulate import simulate

# Engines round biases to what suits 8 bits: finer grids are not judged by their own steps.
FINEST_BITS = 10

# From inputs to outputs, and to quantized tensors by name.
Execute = Callable[[Sequence[np.ndarray]], tuple[Sequence[np.ndarray], dict[str, np.ndarray]]]


def parity(
    program: ExportedProgram,
    path: str | Path,
    runner: Runner,
    batches: Iterable[Sequence[Tensor]],
    *,
    tolerance: Tolerance | None = None,
    threads: int = 1,
) -> ParityReport:
    """Compare a file in an engine with the program that it was made from, on the same inputs.

    Args:
        program: from :func:`~.trace.trace`.
        path: the file that :func:`~.lowering.to_onnx` wrote.
        runner: the engine.
        batches: the inputs of each run.
        tolerance: what is allowed.
        threads: of the engine.

    Returns:
        the differences at each quantized tensor, in steps of its grid, and at the outputs. A quantized tensor is
        judged by itself: the program computes it from what the engine made of the tensors before it, so that one
        early difference is not counted again behind it. So is what hangs on a choice, such as pooled features of the
        best proposals, if quantized tensors or landmarks (:mod:`.landmarks`) stand between: it is judged from the
        engine's choice. The choice itself is compared but not judged, for one rounding may exchange two rows. Outputs
        before which no choice stands are compared end to end.

    Raises:
        ParityError: the engine leaves the tolerance; it names the first tensor that does and holds the report.
        ValueError: there are no batches.
    """
    names = [*tensor_names(program).values(), *landmark_names(program).values()]
    session = runner.load(path, threads=threads, taps=names)

    def execute(inputs: Sequence[np.ndarray]) -> tuple[Sequence[np.ndarray], dict[str, np.ndarray]]:
        values = dict(zip(session.output_names, session.run(inputs), strict=True))
        outputs = [value for name, value in values.items() if name not in names]
        return outputs, {name: values[name] for name in names}

    return compare(program, execute, batches, engine=runner.name, tolerance=tolerance)


def compare(
    program: ExportedProgram,
    execute: Execute,
    batches: Iterable[Sequence[Tensor]],
    *,
    engine: str,
    tolerance: Tolerance | None = None,
) -> ParityReport:
    """As :func:`parity`, for anything that runs: an integer program, for example.

    Args:
        program: from :func:`~.trace.trace`.
        execute: from inputs to outputs and to quantized tensors and landmarks by name; those that it does not give are
            skipped.
        batches: the inputs of each run.
        engine: what to call it in the report.
        tolerance: what is allowed.

    Returns, raises: as :func:`parity`.
    """
    known, names = constants(program), tensor_names(program)
    grids = {names[node.name]: grid_of(node, known) for node in fake_quantizations(program)}
    chosen = {names[node.name]: behind_choice(node) for node in fake_quantizations(program)}
    tensors = {name: Difference(name, min(_units(grid)), chosen[name]) for name, grid in grids.items()}
    through = {name: Difference(name, min(_units(grid))) for name, grid in grids.items()}
    marks = _landmarks(program)
    results, by_steps = _outputs(program), [behind_choice(node, whole=True) for node in _output_nodes(program)]
    count = 0
    for inputs in batches:
        expected, taps = simulate(program, inputs)
        outputs, seen = execute([value.numpy() for value in inputs])
        given = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in seen.items()}
        from_given, alone = simulate(program, inputs, given)
        for name, mark in marks.items():
            if name in seen:
                mark.add(alone[name].numpy(), seen[name])
        for name in (name for name in taps if name in seen and name in tensors):
            through[name].add(*_in_steps(taps[name], seen[name], grids[name]))
            tensors[name].add(*_in_steps(alone[name], seen[name], grids[name]))
        wanted = [last if steps else end for steps, end, last in zip(by_steps, expected, from_given, strict=True)]
        for result, value, output in zip(results, wanted, outputs, strict=True):
            result.add(value.numpy(), np.asarray(output))
        count += 1
    if not count:
        raise ValueError("parity needs at least one batch of inputs")
    report = ParityReport(
        engine,
        tolerance or Tolerance(),
        count,
        list(tensors.values()),
        list(through.values()),
        results,
        list(marks.values()),
    )
    if report.first_failure is not None:
        raise ParityError(report)
    return report


def _landmarks(program: ExportedProgram) -> dict[str, Difference]:
    names = landmark_names(program)
    nodes = [node for node in program.graph.nodes if node.target is LANDMARK]
    return {names[node.name]: Difference(names[node.name], None, behind_choice(node)) for node in nodes}


def _outputs(program: ExportedProgram) -> list[Difference]:
    names, values = program.graph_signature.user_outputs, _output_nodes(program)
    return [Difference(name, None, behind_choice(node)) for name, node in zip(names, values, strict=True)]


def _output_nodes(program: ExportedProgram) -> list[Node]:
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    return list(output.args[0])


def _in_steps(expected: Tensor, given: np.ndarray, grid: TensorGrid) -> tuple[np.ndarray, np.ndarray]:
    """Both tensors in units of the step."""
    steps = torch.tensor(_units(grid))
    if grid.axis is not None:
        shape = [1] * expected.dim()
        shape[grid.axis] = -1
        steps = steps.repeat_interleave(expected.shape[grid.axis] // len(grid.step)).view(shape)
    return (expected / steps).numpy(), np.asarray(given) / steps.numpy()


def _units(grid: TensorGrid) -> tuple[float, ...]:
    """What counts as a step: of a grid of more than 10 bits as many as make one of 10 bits."""
    return tuple(step * 2 ** max(grid.bits - FINEST_BITS, 0) for step in grid.step)
