"""Tables with headings that readers of all kinds can follow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..model import Number
from .elements import Attribute, Child, Html, tag
from .numbers import fixed, known


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: its title.
        value: of a row, what the cell holds.
        show: makes text of a number; None for columns of text.
        mark: of a row, a class of CSS for the cell: "good", "bad", or None.
        hint: what the heading means, shown on demand.
    """

    heading: str
    value: Callable[[Any], Any]
    show: Callable[[Any], str] | None = None
    mark: Callable[[Any], str | None] | None = None
    hint: str | None = None


def table(caption: str, columns: Sequence[Column], rows: Sequence[Any]) -> Html:
    """A table; the first column names its rows. Columns in which no row has anything are left out.

    Args:
        caption: what the table shows.
        columns: its columns.
        rows: whatever the columns take their values from.
    """
    used = [column for column in columns if any(column.value(row) not in (None, "") for row in rows)]
    head = [_heading(column) for column in used]
    body = [tag("tr", [_cell(column, row, first=column is used[0]) for column in used]) for row in rows]
    made = tag("table", tag("caption", caption), tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", made, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _heading(column: Column) -> Html:
    kind = None if column.show is None else "number"
    return tag("th", column.heading, scope="col", class_=kind, title=column.hint)


def _cell(column: Column, row: Any, first: bool) -> Html:
    value = column.value(row)
    classes = [] if column.show is None else ["number"]
    if column.mark is not None and (mark := column.mark(row)):
        classes.append(mark)
    attributes: dict[str, Attribute] = {"class_": " ".join(classes) or None}
    text: Child = value
    if column.show is not None:
        text = column.show(value)
        attributes["data_value"] = f"{float(value):.9g}" if known(value) else ""
    return tag("th", text, scope="row", **attributes) if first else tag("td", text, **attributes)


def drop_column(limit: float = 1.0, heading: str = "Drop") -> Column:
    """What rows lose, marked where it is much; rows have a ``drop``."""
    return Column(heading, lambda row: row.drop, loss, lambda row: "bad" if is_more(row.drop, limit) else None)


def loss(value: Number) -> str:
    """A drop as text: what is lost has a minus sign."""
    return fixed(-value if known(value) and value is not None else value, 2, signed=True)


def is_more(value: Number, limit: float) -> bool:
    """Whether a number is known and above a limit."""
    return value is not None and known(value) and value > limit


def folded(title: str, *children: Child) -> Html:
    """What is shown on demand, and always in print."""
    return tag("details", tag("summary", title), *children)
