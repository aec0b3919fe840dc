"""Files of a quantized detector, and whether engines compute with them what the model computes."""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from ..deploy import DetectorParts, ExportedDetector, detector_parts, pixel_batch
from ..quantization.export import (
    RUNNERS,
    Finding,
    Runner,
    errors,
    find_runner,
    lint,
    parity,
    save_program,
    to_onnx,
    trace,
)
from .evaluation import agreement
from .judge import Judge
from .options import Request
from .reference import integer_reference

logger = logging.getLogger(__name__)

_PARITY_BATCHES = 4


def find_engines(names: Sequence[str] | None) -> list[Runner]:
    """The engines of these names; all that are installed for None.

    Raises:
        ValueError: an unknown name.
        ImportError: one that is not installed; the message says how to get it.
    """
    if names is None:
        return [runner for runner in RUNNERS.values() if runner.available()]
    return [find_runner(name) for name in names]


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
    logger.info("Export: tracing %s, form %s ...", parts.name, form)
    program = trace(parts.form(form), parts.example(form), parts.dynamic_shapes(form))
    files = [_described(save_program(program, folder / "model.pt2"), "torch")]
    found: dict[str, Any] = {"form": form, "files": files, "findings": {}, "engines": []}
    for target in ("generic", *(runner.name for runner in engines)):
        found["findings"][target] = _linted(program, target)
        name = "model.onnx" if target == "generic" else f"model_{target}.onnx"
        files.append(_described(_written(program, parts, form, folder / name, target), target))
    inputs = _inputs(parts, judge)
    for runner in engines:
        path = folder / f"model_{runner.name}.onnx"
        found["engines"].append(_tried(program, path, runner, inputs) | _rated(parts, path, runner, judge))
    if reference := integer_reference(parts, [pixels for pixels, *_ in inputs], folder, warnings):
        files.append(_described(folder / reference["file"], "integer"))
        found["engines"].append(reference)
    return found


def _linted(program: ExportedProgram, target: str) -> list[dict[str, Any]]:
    findings = lint(program, target)
    for line in _summed(findings):
        logger.warning("Export for %s: %s", target, line)
    if grave := errors(findings):
        raise ValueError(f"not exported for {target}:\n" + "\n".join(str(finding) for finding in grave))
    return [finding.to_dict() for finding in findings]


def _summed(findings: Sequence[Finding]) -> list[str]:
    """A line for each rule and gravity: a finding often comes once for each layer, and the report lists them all."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.rule), []).append(finding)
    return [f"{len(group)} x {group[0]}" if len(group) > 1 else str(group[0]) for group in groups.values()]


def _written(program: ExportedProgram, parts: DetectorParts, form: str, path: Path, target: str) -> Path:
    logger.info("Export: %s ...", path.name)
    names = parts.output_names(form)
    assert names is not None
    return to_onnx(program, path, input_names=parts.input_names, output_names=names, target=target)


def _described(path: Path, target: str) -> dict[str, Any]:
    return {"file": path.name, "target": target, "bytes": path.stat().st_size}


def _tried(
    program: ExportedProgram, path: Path, runner: Runner, inputs: Sequence[tuple[torch.Tensor, ...]]
) -> dict[str, Any]:
    report = parity(program, path, runner, inputs)
    return {"engine": runner.name, "file": path.name, "parity": report.to_dict()}


def _rated(parts: DetectorParts, path: Path, runner: Runner, judge: Judge | None) -> dict[str, Any]:
    if judge is None:
        return {}
    rated = judge.rate(ExportedDetector(runner.load(path, threads=torch.get_num_threads()), parts))
    logger.info("AP in %s: %.2f", runner.name, rated.ap)
    found = {"evaluation": judge.compare(rated)}
    return found if judge.after is None else found | {"agreement": agreement(judge.after, rated)}


def _inputs(parts: DetectorParts, judge: Judge | None) -> list[tuple[torch.Tensor, ...]]:
    """What the files are compared on: images of the evaluation, or noise."""
    if judge is None:
        return [parts.example("detector")]
    found = []
    for batch in itertools.islice(judge.batches, _PARITY_BATCHES):
        pixels, sizes = pixel_batch(parts, batch)
        found.append((pixels, sizes) if parts.takes_sizes else (pixels,))
    return found
