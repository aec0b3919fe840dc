"""Detectors compiled ahead of time (AOTInductor) into one file that runs without their Python code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..quantization.export import Tolerance, compile_package
from ..quantization.export.nodes import fake_quantizations
from .parts import DetectorParts
from .tracing import traced_form

_FORMS = ("dense", "detector")
_FLOAT_TOLERANCE = 1e-3


class CompileError(RuntimeError):
    """A form was not compiled, or the compiled file computes something else."""


class CompiledSession:
    """A compiled form as a session, for :func:`.prediction.predict`.

    The file holds machine code that is run: load files only that you made yourself.

    Args:
        path: what :func:`compile_form` wrote.

    Raises:
        FileNotFoundError: there is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"no compiled detector {path}")
        from torch._inductor import aoti_load_package

        self._run: Any = aoti_load_package(str(path))

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`.prediction.Session`."""
        with torch.no_grad():
            outputs = self._run(*(torch.from_numpy(array) for array in inputs))
        return [output.numpy() for output in outputs]


def compile_form(parts: DetectorParts, form: str, path: str | Path, *, tolerance: float | None = None) -> float:
    """Compile a form for this machine's kind of processor, run it, and compare it with the model.

    Args:
        parts: of the model; quantization of a converted one is simulated, no faster than in floating point.
        form: "dense" or "detector"; number and size of the images stay free.
        path: the file to write, ``.pt2``.
        tolerance: largest allowed ratio of the difference's root mean square to that of an output. By default 0.001,
            and for quantized models what engines are allowed: sums in another order move values by a level.

    Returns:
        the largest such ratio, at another number and size of images than the form was traced with.

    Raises:
        ValueError: another form or suffix.
        CompileError: there is no C++ compiler, it does not take the program, or the file computes something else.
        OSError: the file cannot be written.
    """
    if form not in _FORMS:
        raise ValueError(f"form {form!r} is not compiled, only {', '.join(_FORMS)}: suppression is not")
    program = traced_form(parts, form)
    try:
        compile_package(program, path)
    except RuntimeError as error:
        raise CompileError(f"{parts.name}, form {form}: {str(error).strip().splitlines()[0]}") from error
    unit = parts.example(form)[0].shape[2]
    inputs = parts.example(form, 2 * unit, unit, batch=3)
    with torch.no_grad():
        expected = parts.form(form)(*inputs)
    outputs = CompiledSession(path).run([value.numpy() for value in inputs])
    worst = max(_ratio(value, torch.from_numpy(output)) for value, output in zip(expected, outputs, strict=True))
    if tolerance is None:
        tolerance = Tolerance().output if any(fake_quantizations(program)) else _FLOAT_TOLERANCE
    if not worst <= tolerance:
        raise CompileError(f"{path} differs from {parts.name} by {worst:.3g} of an output's size; {tolerance:g} may be")
    return worst


def _ratio(expected: Tensor, given: Tensor) -> float:
    size = float(expected.double().square().mean().sqrt())
    return float((expected.double() - given.double()).square().mean().sqrt()) / max(size, 1e-12)
