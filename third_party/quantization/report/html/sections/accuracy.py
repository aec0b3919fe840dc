"""AP of all variants, and of each class."""

from collections.abc import Callable, Sequence

from ...model import ApRow, ApTable, ClassAp, Number, Report
from ..charts import Bars, bar_chart
from ..elements import Html, markup
from ..numbers import fixed, known
from ..table import Column, drop_column, folded, is_more, loss, table
from .frame import note

_TASKS = {"bbox": "Boxes", "segm": "Masks", "keypoints": "Key points"}
_MOST_CLASSES = 20


def section(report: Report) -> Html | None:
    """AP tables and the classes."""
    if not report.accuracy and not report.classes:
        return None
    return markup([_ap_table(found) for found in report.accuracy], _classes(report.classes))


def _ap_table(found: ApTable) -> Html:
    metrics = list(dict.fromkeys(name for row in found.rows for name in row.metrics))
    columns = [Column("Model", lambda row: row.name)]
    columns += [Column(name, _metric(name), lambda value: fixed(value, 2)) for name in metrics]
    columns.append(
        Column(
            f"Change of {found.headline}",
            found.drop,
            loss,
            lambda row: "bad" if is_more(found.drop(row), 1.0) else None,
        )
    )
    where = [_TASKS.get(found.task, found.task), found.dataset]
    where += [] if found.images is None else [f"{found.images} images"]
    return table(", ".join(filter(None, where)), columns, found.rows)


def _metric(name: str) -> Callable[[ApRow], Number]:
    return lambda row: row.metrics.get(name)


def _classes(rows: Sequence[ClassAp]) -> list[Html | None]:
    if not rows:
        return []
    ordered = sorted(rows, key=lambda row: -row.drop if row.drop is not None and known(row.drop) else float("inf"))
    few = ordered[:_MOST_CLASSES]
    cut = "" if len(few) == len(rows) else f"The {len(few)} of {len(rows)} classes that lose most; the table has all."
    columns = [
        Column("Class", lambda row: row.name),
        Column("Float", lambda row: row.before, lambda value: fixed(value, 2)),
        Column("Quantized", lambda row: row.after, lambda value: fixed(value, 2)),
        drop_column(heading="Change"),
    ]
    bars = [Bars(row.name, (row.before, row.after)) for row in few]
    return [
        bar_chart("AP of each class", bars, ("Float", "Quantized"), lambda value: fixed(value)),
        note(cut),
        folded("AP of all classes as a table", table("AP of each class, those that lose most first", columns, ordered)),
    ]
