"""The top of the page: what it is about, the figures that matter, and warnings."""

from ...model import Latency, Report
from ..elements import Html, tag
from ..numbers import fixed, known, percent
from ..table import loss
from .frame import frame


def header(report: Report) -> Html:
    """Title, facts, key figures."""
    facts = [[tag("dt", name), tag("dd", value)] for name, value in report.facts.items()]
    tiles = [
        tag("div", tag("p", name, class_="muted"), tag("p", value, class_="large"), tag("p", more, class_="muted"))
        for name, value, more in _figures(report)
    ]
    return tag(
        "header",
        tag("h1", report.title),
        tag("dl", facts) if facts else None,
        tag("div", tiles, class_="tiles") if tiles else None,
    )


def warnings(report: Report) -> Html | None:
    """What a reader should know first."""
    if not report.warnings:
        return None
    items = [tag("li", warning) for warning in dict.fromkeys(report.warnings)]
    return frame("Warnings", tag("ul", items))


def _figures(report: Report) -> list[tuple[str, str, str]]:
    figures = []
    if report.accuracy:
        found = report.accuracy[0]
        row = next((row for row in found.rows if row.name == "quantized"), None)
        if known(found.value(found.baseline)):
            figures.append(
                (f"{found.headline}, {found.baseline}", fixed(found.value(found.baseline), 2), found.dataset)
            )
        if row is not None:
            drop = found.drop(row)
            more = f"{loss(drop)} against {found.baseline}" if known(drop) else found.dataset
            figures.append((f"{found.headline}, quantized", fixed(found.value(row.name), 2), more))
    if report.sizes is not None and report.sizes.ratio is not None:
        figures.append(("Weights", percent(report.sizes.ratio), "of their size in float32"))
    if (best := _fastest(report.latencies)) is not None:
        figures.append(("Speed", f"{fixed(best[0], 2)} \N{MULTIPLICATION SIGN}", best[1]))
    if report.parity:
        passed = sum(one.passed for one in report.parity)
        names = ", ".join(one.engine for one in report.parity)
        figures.append(("Engines in agreement", f"{passed} of {len(report.parity)}", names))
    return figures


def _fastest(rows: tuple[Latency, ...]) -> tuple[float, str] | None:
    """The largest gain of int8 over float32 in the same engine, scope and number of threads."""
    times = {
        ((row.engine, row.scope, row.threads, row.height, row.width), row.precision): row.median_ms
        for row in rows
        if row.median_ms is not None and known(row.median_ms) and row.median_ms > 0
    }
    gains = [
        (times[place, "float32"] / time, f"int8 against float32, {place[0]}, {place[1]}")
        for (place, precision), time in times.items()
        if precision == "int8" and (place, "float32") in times
    ]
    return max(gains, default=None)
