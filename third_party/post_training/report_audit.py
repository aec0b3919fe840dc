"""The audit of a calibration set, for the report of a run."""

from collections.abc import Mapping
from typing import Any

from ..quantization.report import Audit, Balance, CurvePoint, DomainRow, SliceRow
from .report_parts import made


def audit(found: Mapping[str, Any] | None) -> Audit | None:
    """What :func:`~.audit.audit_calibration` found."""
    if found is None:
        return None
    return Audit(
        balance=tuple(made(Balance, row) for row in found["balance"]),
        curve=tuple(made(CurvePoint, row) for row in found["curve"]["points"]),
        enough=found["curve"]["enough"],
        slices=tuple(made(SliceRow, row) for row in found["slices"]["rows"]),
        corruptions=tuple(made(SliceRow, row) for row in found["corruptions"]),
        domains=tuple(made(DomainRow, row) for row in found["out_of_domain"]),
    )
