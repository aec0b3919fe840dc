"""Looking for what will go wrong before a file is written."""

from collections.abc import Sequence

from torch import nn
from torch.export import ExportedProgram

from .findings import SEVERITIES, Finding
from .lowering.targets import find_target
from .rules import MODEL_RULES, PROGRAM_RULES, Graph


def lint(subject: ExportedProgram | nn.Module, target: str = "generic") -> list[Finding]:
    """All findings of the rules about a traced program, or about a model before it is traced.

    Args:
        subject: a program from :func:`~.trace.trace`, or a prepared or converted model.
        target: the engine for which it is to be exported.

    Returns:
        findings, the gravest first, otherwise in the order of rules and layers.

    Raises:
        ValueError: an unknown target.
    """
    wanted = find_target(target)
    if isinstance(subject, ExportedProgram):
        graph = Graph(subject, wanted)
        findings = [finding for rule in PROGRAM_RULES.values() for finding in rule(graph)]
    else:
        findings = [finding for check in MODEL_RULES.values() for finding in check(subject)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def errors(findings: Sequence[Finding]) -> list[Finding]:
    """Those findings with which an export should stop."""
    return [finding for finding in findings if finding.severity == "error"]
