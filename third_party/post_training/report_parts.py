"""Parts of a report from rows of plain values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

_Part = TypeVar("_Part")


def made(kind: type[_Part], row: Mapping[str, Any], **more: Any) -> _Part:
    """A part of a report from the keys of a row that it knows; lists become tuples.

    Args:
        kind: a dataclass.
        row: may have keys that the part has no field for.
        more: fields that are not as in the row.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # all parts are dataclasses
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items() if key in names}
    return kind(**values | more)
