"""Files of a detector: traced in one of its forms, looked over, written."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from ..deploy import DetectorParts
from ..quantization.export import TARGETS, Finding, errors, lint, save_program, to_onnx

logger = logging.getLogger(__name__)

PROGRAM = "model.pt2"


def file_name(target: str) -> str:
    """What the ONNX file for an engine is called."""
    return "model.onnx" if target == "generic" else f"model_{target}.onnx"


def check_targets(targets: Sequence[str]) -> None:
    """Refuse names that files cannot be written for.

    Raises:
        ValueError: such a name, or none at all.
    """
    if not targets or (unknown := [name for name in targets if name not in TARGETS]):
        given = ", ".join(unknown) if targets else "nothing"
        raise ValueError(f"a target must be one of {', '.join(TARGETS)}, got {given}")


def write_program(program: ExportedProgram, folder: Path) -> dict[str, Any]:
    """Write ``model.pt2``; returns its name, target and size in bytes."""
    return described(save_program(program, folder / PROGRAM), "torch")


def write_targets(
    program: ExportedProgram, parts: DetectorParts, form: str, folder: Path, targets: Iterable[str]
) -> dict[str, Any]:
    """Write an ONNX file for each target.

    Args:
        program: from :func:`~third_party.deploy.traced_form`.
        parts: of the same detector.
        form: that was traced.
        folder: to write to.
        targets: names of engines, and "generic".

    Returns:
        ``files``, each with ``file``, ``target`` and ``bytes``, and ``findings`` of the linter for each target.

    Raises:
        ValueError: the linter found errors, or an unknown target.
        ImportError: packages that write ONNX are missing.
    """
    found: dict[str, Any] = {"files": [], "findings": {}}
    for target in targets:
        found["findings"][target] = _linted(program, target)
        path = folder / file_name(target)
        write_onnx(program, parts, form, path, target)
        found["files"].append(described(path, target))
    return found


def write_onnx(program: ExportedProgram, parts: DetectorParts, form: str, path: Path, target: str) -> None:
    """Write an ONNX file of a form for a target, whatever the linter would say; arguments as :func:`write_targets`."""
    logger.info("Export: %s ...", path.name)
    inputs = parts.input_names if form != "dense" else parts.input_names[:1]
    outputs = output_names(program, parts, form)
    to_onnx(program, path, input_names=inputs, output_names=outputs, target=target)


def output_names(program: ExportedProgram, parts: DetectorParts, form: str) -> list[str]:
    """Names of the outputs of a form's files; raw predictions are numbered."""
    names = parts.output_names(form)
    return names or [f"raw.{number}" for number in range(len(program.graph_signature.user_outputs))]


def described(path: Path, target: str) -> dict[str, Any]:
    """A file's name, what it is for, and its size in bytes."""
    return {"file": path.name, "target": target, "bytes": path.stat().st_size}


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
