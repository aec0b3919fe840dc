"""Mistakes in a data set, counted by kind."""

from dataclasses import dataclass

ERROR, WARNING = "error", "warning"
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One kind of mistake.

    Attributes:
        check: its short name, such as "inverted box".
        severity: ``ERROR`` if training or evaluation would fail or be wrong, else ``WARNING``.
        count: how often it was found.
        examples: where, for the first few.
    """

    check: str
    severity: str
    count: int
    examples: tuple[str, ...]


class Findings:
    """Collects mistakes by kind, with the first few examples of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[str]] = {}

    def error(self, check: str, example: str) -> None:
        """Notes an error."""
        self._found.setdefault((ERROR, check), []).append(example)

    def warning(self, check: str, example: str) -> None:
        """Notes a warning."""
        self._found.setdefault((WARNING, check), []).append(example)

    def summary(self) -> tuple[Finding, ...]:
        """All kinds, errors first, then by count."""
        kinds = sorted(self._found.items(), key=lambda item: (item[0][0] != ERROR, -len(item[1])))
        return tuple(Finding(c, s, len(found), tuple(found[:MAX_EXAMPLES])) for (s, c), found in kinds)
