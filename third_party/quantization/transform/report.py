"""What a transformation did, or would do, to each layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_HEADINGS = ("layer", "type", "weight", "activation", "parameters", "KiB float32", "KiB", "why")


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: qualified name, the first one of a shared layer.
        type: class of the float layer.
        weight, activation: how its weight and its input are quantized, in words; "float" if they are not, "-" if it
            has none.
        why: which settings decided, or why it stays as it is.
        num_parameters: elements of its own parameters; those that an earlier row has counted are left out.
        bytes_float: their size in float32.
        bytes_quantized: with the weight at its bits, rounded up to a byte, and all scales and zero-points (4 bytes
            each) of weight and input.
    """

    name: str
    type: str
    weight: str
    activation: str
    why: str
    num_parameters: int
    bytes_float: int
    bytes_quantized: int


@dataclass(frozen=True)
class Report:
    """The rows, and what is outside of them.

    Attributes:
        rows: one for each layer that is quantized, could be, has weights, or hands levels through.
        other_parameters: elements of all other parameters (norms and the like), which stay in float32.
        notes: settings that had no effect, and similar remarks.
    """

    rows: tuple[Row, ...]
    other_parameters: int = 0
    notes: tuple[str, ...] = ()

    @property
    def num_parameters(self) -> int:
        """Elements of all parameters of the model, without those of quantizers."""
        return sum(row.num_parameters for row in self.rows) + self.other_parameters

    @property
    def bytes_float(self) -> int:
        """Size of the parameters in float32."""
        return sum(row.bytes_float for row in self.rows) + 4 * self.other_parameters

    @property
    def bytes_quantized(self) -> int:
        """Size of the parameters with weights as integers."""
        return sum(row.bytes_quantized for row in self.rows) + 4 * self.other_parameters

    def row(self, name: str) -> Row:
        """The row of a layer.

        Raises:
            KeyError: no such row.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"the report has no layer {name!r}; it has {', '.join(row.name for row in self.rows)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        totals = {name: getattr(self, name) for name in ("num_parameters", "bytes_float", "bytes_quantized")}
        return {
            "rows": [asdict(row) for row in self.rows],
            "other_parameters": self.other_parameters,
            "totals": totals,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        cells = [
            (row.name, row.type, row.weight, row.activation, str(row.num_parameters))
            + (_kib(row.bytes_float), _kib(row.bytes_quantized), row.why)
            for row in self.rows
        ]
        other = self.other_parameters
        cells.append(("(other parameters)", "", "float", "-", str(other), _kib(4 * other), _kib(4 * other), ""))
        total = (str(self.num_parameters), _kib(self.bytes_float), _kib(self.bytes_quantized))
        cells.append(("total", "", "", "", *total, ""))
        return "\n".join([*_table([_HEADINGS, *cells]), *self.notes])


def _kib(size: int) -> str:
    return f"{size / 1024:.1f}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells in columns; numbers end, words begin in line."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numbers = range(4, 7)
    lines = [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines
