"""What becomes of score thresholds."""

from ...model import Report
from ..charts import curve_chart
from ..elements import Html, markup
from ..numbers import fixed, known, percent
from ..table import Column, table
from .frame import note

_MEANING = (
    "Quantization moves scores: a threshold chosen for the float model gives another precision afterwards. The column "
    "of equal precision has the threshold to use in its place."
)


def section(report: Report) -> Html | None:
    """Precision over the threshold, and thresholds of equal precision."""
    found = report.confidence
    if found is None or not (found.rows or found.curves):
        return None
    columns = [
        Column("Threshold", lambda row: row.threshold, lambda value: fixed(value, 2)),
        Column("Precision, float", lambda row: row.precision, percent),
        Column("Precision, quantized", lambda row: row.precision_kept, percent),
        Column("Threshold of equal precision", lambda row: row.equal, lambda value: fixed(value, 3)),
        Column("Shift", lambda row: row.shift, lambda value: fixed(value, 3, signed=True)),
        Column("Recall, float", lambda row: row.recall, percent),
        Column("Recall at equal precision", lambda row: row.recall_equal, percent),
    ]
    drawn = curve_chart(
        "Precision",
        found.curves,
        across="score threshold",
        upward="share of detections that are right",
        bounds=(0.0, 1.0),
    )
    return markup(
        note(f"{_MEANING} A detection is right when it overlaps an object of its class by {found.iou:g} or more."),
        drawn if any(sum(map(known, curve.y)) > 1 for curve in found.curves) else None,
        table("Thresholds that give the same precision", columns, found.rows) if found.rows else None,
    )
