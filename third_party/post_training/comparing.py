"""Exported files against the detector that they were made from."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ..deploy import DetectorParts, pixel_batch
from ..quantization.export import RUNNERS, ParityReport, Runner, find_runner, parity
from ..quantization.export.packages import need
from .data import DetectionBatches

_BATCHES = 4


def find_engines(names: Sequence[str] | None) -> list[Runner]:
    """The engines of these names; all that are installed for None.

    Raises:
        ValueError: an unknown name.
        ImportError: one that is not installed; the message says how to get it.
    """
    if names is None:
        return [runner for runner in RUNNERS.values() if runner.available()]
    return [find_runner(name) for name in names]


def comparison_inputs(
    parts: DetectorParts, batches: DetectionBatches | None, form: str = "detector"
) -> list[tuple[torch.Tensor, ...]]:
    """What files are compared on: a few batches of images, or noise.

    Args:
        parts: says how to feed a form.
        batches: of images; None for noise.
        form: "dense", "detector" or "suppressed".
    """
    if batches is None:
        return [parts.example(form)]
    found: list[tuple[torch.Tensor, ...]] = []
    for batch in itertools.islice(batches, _BATCHES):
        pixels, sizes = pixel_batch(parts, batch)
        found.append((pixels, sizes) if parts.takes_sizes and form != "dense" else (pixels,))
    return found


def form_of_file(parts: DetectorParts, path: str | Path) -> str:
    """The form that an ONNX file was exported in, by the names of its outputs.

    Args:
        parts: of the detector that it was made from.
        path: of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: onnx is not installed.
        ValueError: it is no ONNX file, or none of a detector of this kind.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}")
    need("onnx")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        names = [output.name for output in onnx.load(path).graph.output]
    except DecodeError as error:
        raise ValueError(f"{path} is no ONNX file: {error}") from error
    for form in ("detector", "suppressed"):
        if names == parts.output_names(form):
            return form
    if names and all(name.startswith("raw.") for name in names):
        return "dense"
    raise ValueError(f"{path} has the outputs {', '.join(names) or 'none'}, which are not those of {parts.name}")


def file_parity(
    program: ExportedProgram, path: Path, runner: Runner, inputs: Sequence[tuple[torch.Tensor, ...]]
) -> dict[str, Any]:
    """A file in an engine against the program that it was made from: engine, file and the differences, plain values.

    Raises:
        ParityError: the engine leaves the tolerance.
    """
    return parity_facts(parity(program, path, runner, inputs), path)


def parity_facts(report: ParityReport, path: Path) -> dict[str, Any]:
    """What a report says of a comparison, as plain values."""
    return {"engine": report.engine, "file": path.name, "parity": report.to_dict()}
