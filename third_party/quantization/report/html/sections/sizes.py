"""Sizes of files and weights."""

from ...model import FileSize, Report
from ..charts import Bars, bar_chart
from ..elements import Html, markup
from ..numbers import fixed, percent, size
from ..table import Column, table
from .frame import note


def section(report: Report) -> Html | None:
    """Bars for the files, and a table."""
    found = report.sizes
    if found is None:
        return None
    rows = list(found.files)
    for name, count in (("weights, float32", found.weights_float), ("weights, quantized", found.weights_quantized)):
        rows += [] if count is None else [FileSize(name, count, "all parameters in memory")]
    if not rows:
        return None
    columns = [
        Column("What", lambda row: row.name),
        Column("For", lambda row: row.note),
        Column("Bytes", lambda row: row.bytes, lambda value: fixed(value, 0)),
        Column("Size", lambda row: row.bytes, size),
    ]
    share = "" if found.ratio is None else f"Quantized weights take {percent(found.ratio)} of those in float32."
    bars = [Bars(row.name, (float(row.bytes),)) for row in rows]
    return markup(note(share), bar_chart("Bytes", bars, show=size), table("Sizes", columns, rows))
