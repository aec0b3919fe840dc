"""What single layers do to the loss, and what a search made of it."""

from ...model import Report, Search, Sensitivity
from ..charts import Bars, bar_chart
from ..elements import Html, markup, tag
from ..numbers import fixed, short
from ..table import Column, folded, loss, table
from .frame import note, verdict

_MOST = 15


def section(report: Report) -> Html | None:
    """The layers that do most harm, and the search."""
    found = [_sensitivity(report.sensitivity), _search(report.search)]
    if not any(found):
        return None
    return markup(*found)


def _sensitivity(found: Sensitivity | None) -> list[Html | None]:
    if found is None or not found.rows:
        return []
    columns = [
        Column("Layer", lambda row: row.name),
        Column("Bits", lambda row: row.bits),
        Column("Loss", lambda row: row.loss, short),
        Column("Change", lambda row: row.change, short),
    ]
    bars = [Bars(f"{row.name} {row.bits}".strip(), (row.change,)) for row in found.rows[:_MOST]]
    losses = ""
    if found.float_loss is not None and found.quantized_loss is not None:
        losses = f"Loss in float {short(found.float_loss)}, with every layer quantized {short(found.quantized_loss)}."
    return [
        verdict(found.verdict),
        note(losses),
        bar_chart("Change of the loss when this layer alone is quantized", bars),
        folded(f"All {len(found.rows)} layers as a table", table("Change of the loss", columns, found.rows)),
    ]


def _search(found: Search | None) -> list[Html | None]:
    if found is None:
        return []
    columns = [
        Column("Recipe", lambda row: row[0], str),
        Column("AP", lambda row: row[1].drop, loss),
        Column("Cost", lambda row: row[1].cost, lambda value: fixed(value, 0)),
        Column("What differs", lambda row: row[1].explanation),
    ]
    rows = list(enumerate(found.candidates, start=1))
    return [
        tag("h3", "Search for the cheapest recipe"),
        verdict(found.verdict, found.met),
        table("Recipes that were measured", columns, rows) if rows else None,
    ]
