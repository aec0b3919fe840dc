"""Noise, ranges and histograms of single tensors."""

from collections.abc import Sequence

from ...model import Histogram, LayerSqnr, RangeRow, Report
from ..charts import column_chart, histogram_chart
from ..elements import Html, markup, tag
from ..numbers import fixed, known, percent, short
from ..table import Column, folded, table
from .frame import note

_WORST = 5
_FIRST_HISTOGRAMS = 12


def section(report: Report) -> Html | None:
    """Signal to noise of layers, then ranges over histograms."""
    if not (report.sqnr or report.ranges or report.histograms):
        return None
    noise = {row.name: row.decibels for row in report.sqnr if row.decibels is not None and known(row.decibels)}
    return markup(
        _noise(report.sqnr),
        _histograms(sorted(report.histograms, key=lambda one: noise.get(one.name, float("inf")))),
        _ranges(report.ranges),
    )


def _noise(rows: Sequence[LayerSqnr]) -> list[Html | None]:
    if not rows:
        return []
    found = [
        (row.decibels, index) for index, row in enumerate(rows) if row.decibels is not None and known(row.decibels)
    ]
    worst = [index for _, index in sorted(found)[:_WORST]]
    columns = [
        Column("Layer", lambda row: row.name),
        Column("Tensor", lambda row: row.tensor),
        Column("SQNR dB", lambda row: row.decibels, fixed),
    ]
    named = ", ".join(f"{rows[index].name} ({fixed(rows[index].decibels)} dB)" for index in worst)
    names, values = [f"{row.name}, {row.tensor}" for row in rows], [row.decibels for row in rows]
    return [
        column_chart(
            "Signal to quantization noise of each layer",
            names,
            values,
            unit="dB",
            axis="layers, in order",
            marked=worst,
        ),
        note(f"Lowest: {named}" if named else ""),
        folded("SQNR of all layers as a table", table("Signal to quantization noise", columns, rows)),
    ]


def _histograms(found: Sequence[Histogram]) -> list[Html | None]:
    if not found:
        return []
    first, rest = found[:_FIRST_HISTOGRAMS], found[_FIRST_HISTOGRAMS:]
    return [
        tag("h3", "Values and chosen ranges"),
        note(
            "Counts on a logarithmic scale; vertical lines are the ends of the range. The noisiest tensors come first."
        ),
        _grid(first),
        folded(f"{len(rest)} more", _grid(rest)) if rest else None,
    ]


def _grid(found: Sequence[Histogram]) -> Html:
    return tag("div", [histogram_chart(one) for one in found], class_="multiples")


def _ranges(rows: Sequence[RangeRow]) -> Html | None:
    if not rows:
        return None
    columns = [
        Column("Layer", lambda row: row.name),
        Column("Observer", lambda row: row.observer),
        Column("Bottom", lambda row: row.bottom, short),
        Column("Top", lambda row: row.top, short),
        Column("Clipped", lambda row: row.clipped, lambda value: percent(value, 3), hint="share of values beyond"),
        Column("Shared with", lambda row: ", ".join(row.shared_with)),
    ]
    return folded("Ranges of activations as a table", table("Ranges of activations", columns, rows))
