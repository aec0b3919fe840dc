"""Addressing layers by their qualified name."""

import enum
import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .choices import check_type, near_matches

_REGEX_PREFIX = "re:"
_WILDCARDS = re.compile(r"[*?\[]")


class Precision(enum.IntEnum):
    """How precisely a rule says which layers it means; the more precise rule wins."""

    TYPE = 1
    PATTERN = 2
    EXACT = 3


@dataclass(frozen=True)
class NamePattern:
    """Qualified names, as of ``nn.Module.named_modules()``: which ones a text means.

    Attributes:
        text: an exact name ("backbone.stem.conv1"), a glob ("backbone.*": ``*`` also crosses dots, ``?`` is one
            character, ``[..]`` one of several), or "re:" and a regular expression that the whole name must match.

    Raises:
        ValueError: the text is empty or not a regular expression.
    """

    text: str
    _expression: "re.Pattern[str] | None" = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        check_type("name", self.text, str)
        if not self.text.removeprefix(_REGEX_PREFIX).strip():
            raise ValueError(
                f"name must be a qualified name, a glob or re:<regular expression>; got {self.text!r}. "
                "Write '*' for all layers"
            )
        if self.precision is Precision.PATTERN:
            object.__setattr__(self, "_expression", self._compile())

    def _compile(self) -> "re.Pattern[str]":
        if not self.text.startswith(_REGEX_PREFIX):
            return re.compile(fnmatch.translate(self.text))
        try:
            return re.compile(self.text.removeprefix(_REGEX_PREFIX))
        except re.error as error:
            raise ValueError(f"name {self.text!r} is not a regular expression: {error}") from error

    @property
    def precision(self) -> Precision:
        """EXACT for a plain name, PATTERN for a glob or a regular expression."""
        is_pattern = self.text.startswith(_REGEX_PREFIX) or _WILDCARDS.search(self.text)
        return Precision.PATTERN if is_pattern else Precision.EXACT

    def matches(self, name: str) -> bool:
        """Whether ``name`` is meant."""
        return name == self.text if self._expression is None else self._expression.fullmatch(name) is not None

    def advice(self, names: Iterable[str]) -> str:
        """What to write instead when none of ``names`` matches: " Nearest names: ...", or nothing."""
        names = list(names)
        if self.precision is Precision.EXACT and any(name.startswith(self.text + ".") for name in names):
            return f" It holds layers and is none itself: write {self.text + '.*'!r} for those inside"
        similar = near_matches(self._literal(), {*names, *_parents(names)})
        return f" Nearest names: {', '.join(similar)}" if similar else ""

    def _literal(self) -> str:
        if not self.text.startswith(_REGEX_PREFIX):
            return re.sub(r"[*?\[\]]", "", self.text).strip(".")
        # Letters after a backslash are classes ("\d"), not part of a name.
        return re.sub(r"\\[A-Za-z]|[^\w.]", "", self.text.removeprefix(_REGEX_PREFIX)).strip(".")


def _parents(names: Iterable[str]) -> set[str]:
    """The modules that hold the named ones: "a.b.c" lies in "a.b" and "a"."""
    found: set[str] = set()
    for name in names:
        parts = name.split(".")
        found.update(".".join(parts[:depth]) for depth in range(1, len(parts)))
    return found
