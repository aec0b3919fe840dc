"""Reading and writing dataclasses as mappings with upper-case keys, as YAML has them."""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from .choices import hint

Reader = Callable[[Any, str], Any]
Group = TypeVar("Group")


class SettingError(ValueError):
    """A refused setting; the message starts with its dotted key."""


@contextmanager
def located(path: str) -> Iterator[None]:
    """Put the dotted key before the message of a ``ValueError`` that has none yet."""
    try:
        yield
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"{path}: {error}") from error


def as_mapping(value: Any, path: str) -> dict[str, Any]:
    """``value`` as a dict, checked to be a mapping from texts."""
    if not isinstance(value, Mapping):
        raise SettingError(f"{path}: must be a mapping of settings; got {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise SettingError(f"{path}.{key}: a key must be text; got {key!r}")
    return dict(value)


def as_list(value: Any, path: str) -> list[Any]:
    """``value`` as a list, checked to be one (or a tuple)."""
    if not isinstance(value, (list, tuple)):
        raise SettingError(f"{path}: must be a list; got {value!r}")
    return list(value)


def check_keys(keys: Iterable[str], known: Iterable[str], path: str) -> None:
    """Refuse the first of ``keys`` that is not known, with near matches."""
    known = list(known)
    for key in keys:
        if key not in known:
            listed = f"Known: {', '.join(known)}" if known else "It takes no settings"
            raise SettingError(f"{path}.{key}: no such setting.{hint(key, known)} {listed}")


def plain_reader(value: Any, path: str) -> Any:
    """A value as it is, but tuples for lists: dataclasses that cannot change hold nothing that can."""
    return tuple(value) if isinstance(value, list) else value


def read_group(group_type: type[Group], mapping: Any, path: str, readers: Mapping[str, Reader] | None = None) -> Group:
    """Make a dataclass from a mapping whose keys are its fields in upper case.

    Args:
        group_type: the dataclass; its ``__post_init__`` checks the values.
        mapping: keys and values.
        path: dotted key of the mapping, for messages.
        readers: for fields whose value is not plain: turns value and dotted key into the field's value.

    Raises:
        SettingError: an unknown or missing key, or a refused value.
    """
    given = as_mapping(mapping, path)
    known = {field.name.upper(): field for field in fields(group_type) if field.init}  # type: ignore[arg-type]
    check_keys(given, known, path)
    for key, field in known.items():
        if key not in given and field.default is MISSING and field.default_factory is MISSING:
            raise SettingError(f"{path}.{key}: must be given")
    values = {}
    for key, value in given.items():
        reader = (readers or {}).get(known[key].name, plain_reader)
        values[known[key].name] = reader(value, f"{path}.{key}")
    with located(path):
        return group_type(**values)


def write_group(group: Any) -> dict[str, Any]:
    """The mapping that :func:`read_group` reads back: plain values only, lists for tuples."""
    return {field.name.upper(): plain(getattr(group, field.name)) for field in fields(group) if field.init}


def plain(value: Any) -> Any:
    """A value as YAML and JSON can hold it."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return write_group(value) if is_dataclass(value) else value
