"""Many narrow columns in a row, such as one for each layer."""

from collections.abc import Sequence

from ...model import Number
from ..elements import Html
from ..numbers import fixed, known, short
from .drawing import chart, line, rectangle, text
from .scales import Scale, extent

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 820.0, 240.0, 44.0, 26.0, 26.0


def column_chart(
    title: str, names: Sequence[str], values: Sequence[Number], *, unit: str, axis: str, marked: Sequence[int] = ()
) -> Html:
    """Columns from zero, in order; their names are shown where the pointer is.

    Args:
        title: what is seen.
        names, values: of the columns.
        unit: of the values.
        axis: what is along the horizontal axis.
        marked: numbers of columns to set apart.
    """
    low, high = extent(values, zero=True)
    scale = Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    wide = (_WIDTH - _LEFT) / max(len(names), 1)
    drawn: list[Html] = []
    for tick in scale.ticks():
        drawn += [line(_LEFT, scale(tick), _WIDTH, scale(tick), "grid")]
        drawn += [text(_LEFT - 6, scale(tick), short(tick), anchor="end", class_="figure")]
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        if value is None or not known(value):
            continue
        top, foot = sorted((scale(value), scale(0.0)))
        kind = "bar marked" if index in marked else "bar s1"
        gap = min(2.0, 0.25 * wide)
        hint = f"{name}: {fixed(value)} {unit}"
        drawn.append(rectangle(_LEFT + index * wide + gap / 2, top, wide - gap, foot - top, kind, hint))
    drawn.append(line(_LEFT, scale(0.0), _WIDTH, scale(0.0), "axis"))
    drawn.append(text(_WIDTH, _HEIGHT - 8, axis, anchor="end", class_="muted"))
    drawn.append(text(0.0, 8.0, unit, class_="muted"))
    return chart(title, _WIDTH, _HEIGHT, drawn)
