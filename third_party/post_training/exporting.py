"""Files of a quantized detector, and whether engines compute with them what the model computes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..deploy import DetectorParts, ExportedDetector, detector_parts, traced_form
from ..quantization.export import Runner
from .comparing import comparison_inputs, file_parity
from .evaluation import agreement
from .exported_files import described, file_name, write_program, write_targets
from .judge import Judge
from .options import Request
from .reference import integer_reference

logger = logging.getLogger(__name__)


def export_detector(
    model: nn.Module,
    judge: Judge | None,
    request: Request,
    engines: Sequence[Runner],
    folder: Path,
    warnings: list[str],
) -> dict[str, Any]:
    """Write the files, run them, compare.

    Args:
        model: converted.
        judge: rates the files as models; None where there is nothing to evaluate on.
        request: what is wanted.
        engines: that run the files.
        folder: to write to: ``model.pt2``, ``model.onnx``, ``model_<engine>.onnx`` for each engine, and
            ``model.integer`` with the raw predictions in integers.
        warnings: is told what could not be done.

    Returns:
        findings, files and engines as plain values.

    Raises:
        ParityError: an engine leaves the tolerance.
        ValueError: the linter found errors.
    """
    parts = detector_parts(model)
    form = "suppressed" if request.suppression else "detector"
    program = traced_form(parts, form)
    first = write_program(program, folder)
    targets = ("generic", *(runner.name for runner in engines))
    found = {"form": form, "engines": [], **write_targets(program, parts, form, folder, targets)}
    found["files"].insert(0, first)
    inputs = comparison_inputs(parts, None if judge is None else judge.batches)
    for runner in engines:
        path = folder / file_name(runner.name)
        found["engines"].append(file_parity(program, path, runner, inputs) | _rated(parts, path, runner, judge))
    if reference := integer_reference(parts, [pixels for pixels, *_ in inputs], folder, warnings):
        found["files"].append(described(folder / reference["file"], "integer"))
        found["engines"].append(reference)
    return found


def _rated(parts: DetectorParts, path: Path, runner: Runner, judge: Judge | None) -> dict[str, Any]:
    if judge is None:
        return {}
    rated = judge.rate(ExportedDetector(runner.load(path, threads=torch.get_num_threads()), parts))
    logger.info("AP in %s: %.2f", runner.name, rated.ap)
    found = {"evaluation": judge.compare(rated)}
    return found if judge.after is None else found | {"agreement": agreement(judge.after, rated)}
