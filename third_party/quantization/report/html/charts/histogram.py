"""A histogram with the range that was chosen."""

import math

from ...model import Histogram
from ..elements import Html
from ..numbers import known, short
from .drawing import chart, line, path, shortened, text
from .scales import Scale

_WIDTH, _HEIGHT, _TOP, _BOTTOM, _SIDE = 236.0, 128.0, 20.0, 20.0, 8.0


def histogram_chart(found: Histogram) -> Html:
    """Counts on a logarithmic scale, since tails decide ranges; lines at both ends of the range."""
    ends = [end for end in (found.bottom, found.top) if end is not None and known(end)]
    low, high = min([found.start, *ends]), max([found.end, *ends])
    across = Scale(low, high, _SIDE, _WIDTH - _SIDE)
    most = max(found.counts, default=0.0)
    up = Scale(0.0, math.log1p(most) or 1.0, _HEIGHT - _BOTTOM, _TOP)
    points = [(across(found.start), up(0.0))]
    for index, count in enumerate(found.counts):
        level = up(math.log1p(count))
        points += [(across(found.start + (index + at) * found.width), level) for at in (0, 1)]
    points.append((across(found.end), up(0.0)))
    drawn = [path(points, "area", closed=True), line(_SIDE, up(0.0), _WIDTH - _SIDE, up(0.0), "axis")]
    for end in ends:
        drawn.append(line(across(end), _TOP - 4, across(end), up(0.0), "range"))
    drawn += [_range_text(end, across(end)) for end in ends]
    drawn += [
        text(_SIDE, _HEIGHT - 9, short(low, 3), class_="muted"),
        text(_WIDTH - _SIDE, _HEIGHT - 9, short(high, 3), anchor="end", class_="muted"),
    ]
    return chart(shortened(found.name, 34), _WIDTH, _HEIGHT, drawn)


def _range_text(end: float, place: float) -> Html:
    anchor = "start" if place < _WIDTH * 0.35 else "end" if place > _WIDTH * 0.65 else "middle"
    return text(place, 8.0, short(end, 3), anchor=anchor, class_="range-figure")
