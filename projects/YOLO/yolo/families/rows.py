"""A table that is written row by row, for networks whose rows refer to each other a lot."""

from itertools import accumulate

from .table import HeadTable, Layout, Row


class RowList:
    """Collects rows, and how many rows each of them is in published tables."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._published: list[int] = []
        self.head: HeadTable | None = None

    def add(self, row: Row, published: int = 1) -> int:
        """Append a row.

        Args:
            row: the row.
            published: rows that stand for it in the published table.

        Returns:
            its index, for rows that read it.
        """
        self._rows.append(row)
        self._published.append(published)
        return len(self._rows) - 1

    def layout(self) -> Layout:
        """The table."""
        assert self.head is not None
        return Layout(tuple(self._rows), self.head)

    def first_rows(self) -> tuple[int, ...]:
        """Where each row, and at last the head, begins in the published table."""
        return tuple(accumulate(self._published, initial=0))
