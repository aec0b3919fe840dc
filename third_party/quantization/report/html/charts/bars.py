"""Horizontal bars, one or more for each name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...model import Number
from ..elements import Html, tag
from ..numbers import MISSING, known, short
from .drawing import chart, line, rectangle, shortened, text
from .scales import Scale, extent

_WIDTH, _NAMES, _FIGURES, _BAR, _GAP = 820.0, 270.0, 76.0, 12.0, 9.0
_LETTERS = 38


@dataclass(frozen=True)
class Bars:
    """The bars of one name.

    Attributes:
        name: what they belong to.
        values: one for each series.
        class_: of CSS, to set them apart.
    """

    name: str
    values: tuple[Number, ...]
    class_: str = ""


def bar_chart(
    title: str, rows: Sequence[Bars], series: Sequence[str] = (), show: Callable[[Number], str] = short
) -> Html:
    """Bars from zero, each with its figure behind it.

    Args:
        title: what is seen.
        rows: names with as many values as there are series.
        series: their names, for the legend; empty for one.
        show: makes text of a value.
    """
    low, high = extent((value for row in rows for value in row.values), zero=True)
    begin = _NAMES + (_FIGURES if low < 0 else 0.0)
    scale = Scale(low, high, begin, _WIDTH - _FIGURES)
    drawn, y = [], 4.0
    for row in rows:
        drawn.append(_group(row, series, scale, y, show))
        y += len(row.values) * _BAR + _GAP
    zero = line(scale(0.0), 0.0, scale(0.0), y, "axis")
    return chart(title, _WIDTH, y, drawn, zero, legend=series)


def _group(row: Bars, series: Sequence[str], scale: Scale, y: float, show: Callable[[Number], str]) -> Html:
    label = text(_NAMES - 8, y + len(row.values) * _BAR / 2, shortened(row.name, _LETTERS), anchor="end")
    drawn = [label]
    for index, value in enumerate(row.values):
        named = f"{row.name}, {series[index]}" if series else row.name
        middle, place = y + (index + 0.5) * _BAR, scale(0.0)
        if value is None or not known(value):
            drawn.append(text(place + 5, middle, MISSING, class_="figure"))
            continue
        end = scale(value)
        kind = f"bar s{index} {row.class_}".strip()
        drawn.append(
            rectangle(
                min(place, end), middle - _BAR / 2 + 1, abs(end - place), _BAR - 2, kind, f"{named}: {show(value)}"
            )
        )
        left = value < 0
        drawn.append(
            text(end + (-5 if left else 5), middle, show(value), anchor="end" if left else "start", class_="figure")
        )
    return tag("g", tag("title", row.name), drawn)
