"""What integers alone compute, against the simulation that files are compared with."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..deploy import DetectorParts, traced_form
from ..quantization.export import Tolerance, compare
from ..quantization.export.nodes import tensor_names
from ..quantization.integer import IntegerLoweringError, compile_program

logger = logging.getLogger(__name__)

FILE = "model.integer"

# Roundings add up over the whole model; each quantized tensor is judged from equal tensors before it.
_ANY_OUTPUT = Tolerance(output=float("inf"))


def integer_reference(
    parts: DetectorParts, pixels: Sequence[torch.Tensor], folder: Path, warnings: list[str]
) -> dict[str, Any] | None:
    """Bring the raw predictions of a detector into integers, write the program, run and compare it.

    Args:
        parts: of a converted detector.
        pixels: batches of the dense form.
        folder: where ``model.integer`` is written.
        warnings: is told if the model has layers that integers cannot do.

    Returns:
        the file, its operations, and the differences at each quantized tensor, as plain values; None if there is no
        program.

    Raises:
        ParityError: integers leave the tolerance.
    """
    traced = traced_form(parts, "dense")
    try:
        program = compile_program(traced)
    except IntegerLoweringError as error:
        warnings.append(f"There is no integer program of the model: {error}")
        return None
    names = tensor_names(traced)
    taps = [name for name in program.quantized if name in names]

    def execute(inputs: Sequence[np.ndarray]) -> tuple[Sequence[np.ndarray], dict[str, np.ndarray]]:
        run = program.execute([torch.from_numpy(value) for value in inputs], taps=taps)
        grids = {name: program.quantized[name].grid for name in taps}
        seen = {names[name]: grids[name].values(codes).float().numpy() for name, codes in run.taps.items()}
        return [value.numpy() for value in run.outputs], seen

    report = compare(traced, execute, [(batch,) for batch in pixels], engine="integer", tolerance=_ANY_OUTPUT)
    program.save(folder / FILE)
    logger.info("Integer reference: %s", program)
    return {"engine": "integer", "file": FILE, "program": str(program), "parity": report.to_dict()}
