"""Speed and memory of exported files."""

from collections.abc import Sequence

from ...model import Latency, Report
from ..charts import Bars, bar_chart
from ..elements import Html, markup
from ..numbers import fixed
from ..table import Column, table


def section(report: Report) -> Html | None:
    """A chart for each scope, and a table of everything."""
    rows = report.latencies
    if not rows:
        return None
    columns = [
        Column("Engine", lambda row: row.engine),
        Column("Precision", lambda row: row.precision),
        Column("Scope", lambda row: row.scope),
        Column("Threads", lambda row: row.threads or "all"),
        Column("Input", lambda row: f"{row.height} \N{MULTIPLICATION SIGN} {row.width}" if row.height else ""),
        Column("Median ms", lambda row: row.median_ms, fixed),
        Column("90 % ms", lambda row: row.p90_ms, fixed, hint="nine of ten images take no longer"),
        Column("Images/s", lambda row: row.images_per_second, fixed),
        Column("Memory MiB", lambda row: row.memory_mib, fixed),
        Column("File MiB", lambda row: row.file_mib, lambda value: fixed(value, 2)),
        Column("Watts", lambda row: row.watts, fixed),
        Column("No result because", lambda row: row.error or ""),
    ]
    return markup(_charts(rows), table("Latency, throughput, memory", columns, rows))


def _charts(rows: Sequence[Latency]) -> list[Html]:
    drawn = []
    for scope in dict.fromkeys(row.scope for row in rows):
        bars = [
            Bars(_label(row), (row.median_ms,), "" if row.precision.startswith("int") else "plain")
            for row in rows
            if row.scope == scope and row.error is None
        ]
        if bars:
            drawn.append(bar_chart(f"Median milliseconds of an image, {scope}", bars, show=fixed))
    return drawn


def _label(row: Latency) -> str:
    threads = "all threads" if not row.threads else f"{row.threads} thread" + "s" * (row.threads > 1)
    return f"{row.engine}, {row.precision}, {threads}"
