"""How each layer is quantized."""

from ...model import Report
from ..elements import Html, markup
from ..numbers import fixed, size
from ..table import Column, folded, table


def section(report: Report) -> Html | None:
    """A table, shown on demand."""
    if not report.layers:
        return None
    columns = [
        Column("Layer", lambda row: row.name),
        Column("Type", lambda row: row.type),
        Column("Weight", lambda row: row.weight),
        Column("Input", lambda row: row.activation),
        Column("Float32", lambda row: row.bytes_float, size),
        Column("Quantized", lambda row: row.bytes_quantized, size),
        Column("Why", lambda row: row.why),
    ]
    title = f"How {fixed(len(report.layers), 0)} layers are quantized"
    return markup(folded(title, table("Layers", columns, report.layers)))
