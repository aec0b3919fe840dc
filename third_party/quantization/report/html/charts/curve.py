"""Lines over a horizontal axis, and single measurements beside them."""

from collections.abc import Sequence

from ...model import Curve
from ..elements import Html, tag
from ..numbers import known, short
from .drawing import chart, line, path, text
from .scales import Scale, extent

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 820.0, 280.0, 48.0, 26.0, 40.0, 14.0


def curve_chart(
    title: str,
    curves: Sequence[Curve],
    *,
    across: str,
    upward: str,
    points: Sequence[tuple[float, float]] = (),
    log: bool = False,
    bounds: tuple[float, float] | None = None,
) -> Html:
    """Curves with axes.

    Args:
        title: what is seen.
        curves: lines; gaps where there is no figure.
        across, upward: what the axes show.
        points: single measurements.
        log: horizontal axis logarithmic, ticks at the points of the curves.
        bounds: of the vertical axis; None to suit the values.
    """
    xs = [x for curve in curves for x in curve.x] + [x for x, _ in points]
    ys = [y for curve in curves for y in curve.y] + [y for _, y in points]
    horizontal = Scale(*extent(xs), _LEFT + 8, _WIDTH - _RIGHT, log=log and min(xs, default=0) > 0)
    vertical = Scale(*(bounds or _padded(*extent(ys))), _HEIGHT - _BOTTOM, _TOP)
    drawn: list[Html | None] = [
        *_axes(horizontal, vertical, sorted(set(xs)) if log else horizontal.ticks(8), across, upward)
    ]
    drawn += [tag("circle", cx=horizontal(x), cy=vertical(y), r=3, class_="dot") for x, y in points if known(y)]
    for index, curve in enumerate(curves):
        drawn += _pieces(curve, horizontal, vertical, f"line s{index}")
    return chart(title, _WIDTH, _HEIGHT, drawn, legend=[curve.name for curve in curves] if len(curves) > 1 else ())


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _axes(across: Scale, up: Scale, ticks: Sequence[float], across_title: str, up_title: str) -> list[Html]:
    foot = _HEIGHT - _BOTTOM
    drawn = []
    for tick in up.ticks():
        drawn.append(line(_LEFT, up(tick), _WIDTH - _RIGHT, up(tick), "grid"))
        drawn.append(text(_LEFT - 6, up(tick), short(tick), anchor="end", class_="figure"))
    for tick in ticks:
        drawn.append(line(across(tick), foot, across(tick), foot + 4, "axis"))
        drawn.append(text(across(tick), foot + 13, short(tick), anchor="middle", class_="figure"))
    drawn.append(line(_LEFT, foot, _WIDTH - _RIGHT, foot, "axis"))
    drawn.append(text(_WIDTH - _RIGHT, _HEIGHT - 9, across_title, anchor="end", class_="muted"))
    drawn.append(text(0.0, 8.0, up_title, class_="muted"))
    return drawn


def _pieces(curve: Curve, across: Scale, up: Scale, class_: str) -> list[Html | None]:
    """The parts of a curve between its gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(curve.x, curve.y, strict=True):
        if y is None or not known(y):
            runs.append([])
        else:
            runs[-1].append((across(x), up(y)))
    return [path(run, class_) for run in runs if run]
