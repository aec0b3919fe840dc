"""What checks of the exported files found."""

from collections.abc import Sequence

from ...model import Finding, Parity, Report
from ..elements import Html, markup, tag
from ..numbers import known, percent, short
from ..table import Column, folded, table
from .frame import note, verdict

_ORDER = ("error", "warning", "note")
_FAR = 0.999


def section(report: Report) -> Html | None:
    """Parity with engines, and the linter's findings."""
    if not (report.parity or report.findings):
        return None
    return markup([_parity(one) for one in report.parity], _findings(report.findings))


def _parity(found: Parity) -> list[Html | None]:
    columns = [
        Column("Tensor", lambda row: row.name),
        Column("Equal", lambda row: row.equal, lambda value: percent(value, 3)),
        Column("Within 1 step", lambda row: row.within, lambda value: percent(value, 3), _mark),
        Column("Largest", lambda row: row.largest, short, hint="steps of the grid; outputs in their own unit"),
        Column("Mean", lambda row: row.mean, short),
        Column(
            "Ratio", lambda row: row.ratio, short, hint="root mean square of the difference over that of the values"
        ),
    ]
    quantized = [row.within for row in found.tensors if row.within is not None and known(row.within)]
    said = f"{found.engine} computes what the model computes." if found.passed else f"{found.engine}: {found.failure}"
    worst = f"The least share of a quantized tensor within 1 step is {percent(min(quantized), 3)}." if quantized else ""
    rows = [*found.tensors, *found.outputs]
    details = folded("All tensors", table(f"Parity of {found.engine}", columns, rows)) if rows else None
    return [tag("h3", f"Parity: {found.engine}"), verdict(said, found.passed), note(worst), details]


def _mark(row: object) -> str | None:
    within = getattr(row, "within", None)
    return "bad" if within is not None and within < _FAR else None


def _findings(found: Sequence[Finding]) -> list[Html | None]:
    if not found:
        return []
    rows = sorted(found, key=lambda one: _ORDER.index(one.severity) if one.severity in _ORDER else len(_ORDER))
    columns = [
        Column("Layer", lambda row: row.layer),
        Column("Severity", lambda row: row.severity, mark=lambda row: row.severity if row.severity in _ORDER else None),
        Column("Rule", lambda row: row.rule),
        Column("Finding", lambda row: row.message),
        Column("Remedy", lambda row: row.remedy),
        Column("Targets", lambda row: ", ".join(row.targets)),
    ]
    counts = {kind: sum(row.severity == kind for row in rows) for kind in dict.fromkeys(row.severity for row in rows)}
    told = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())
    made = table("Findings of the linter", columns, rows)
    return [tag("h3", "Findings"), note(told), made if len(rows) <= 12 else folded(f"All {len(rows)} findings", made)]
