"""Config keys as dotted names: access, similar names for a wrong one, and type conversions that lose nothing."""

import difflib
from collections.abc import Iterable
from typing import Any

_NAME_TUPLES = ("DATASETS.TRAIN", "DATASETS.TEST")


def near_matches(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Those of ``known`` that are spelt like ``name``, the most similar first."""
    candidates = {text.lower(): text for text in known}
    return [candidates[found] for found in difflib.get_close_matches(name.lower(), candidates, n=limit, cutoff=0.6)]


def unknown_key_message(full_key: str, known: Iterable[str]) -> str:
    """The error text for a key that is not in the config, with keys that may have been meant."""
    known = list(known)
    last = full_key.rsplit(".", 1)[-1].lower()
    same_last = [key for key in known if key.rsplit(".", 1)[-1].lower() == last]
    similar = list(dict.fromkeys(near_matches(full_key, known) + same_last))[:3]
    hint = f" Did you mean {', '.join(similar)}?" if similar else ""
    return f"Non-existent config key: {full_key}.{hint}"


def coerce_value(full_key: str, value: Any, current: Any) -> Any:
    """``value`` in the type of ``current`` where that is beyond doubt, else unchanged.

    A whole number is accepted for a float, a bare string for the tuple of data set names, and lists for tuples in a
    tuple, which YAML does not have.

    Raises:
        ValueError: a value is given for a section.
    """
    if isinstance(current, dict) and not isinstance(value, dict):
        raise ValueError(
            f"{full_key} is a section with keys of its own, such as {next(iter(current), '')}, not a value"
        )
    if isinstance(current, float) and type(value) is int:
        return float(value)
    if full_key in _NAME_TUPLES and isinstance(value, str):
        return (value,)
    if isinstance(current, tuple) and isinstance(value, (list, tuple)) and any(isinstance(x, list) for x in value):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value


def has_key(cfg: dict[str, Any], full_key: str) -> bool:
    """Whether the section and the key in it exist."""
    node: Any = cfg
    for part in full_key.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def get_key(cfg: dict[str, Any], full_key: str) -> Any:
    """The value or section of a key that exists."""
    node: Any = cfg
    for part in full_key.split("."):
        node = node[part]
    return node


def set_key(cfg: dict[str, Any], full_key: str, value: Any) -> None:
    """Give a key a value; sections that are missing are made, of the type of ``cfg``."""
    *sections, last = full_key.split(".")
    for part in sections:
        cfg = cfg.setdefault(part, type(cfg)())
    cfg[last] = value


def remove_key(cfg: dict[str, Any], full_key: str) -> None:
    """Delete a key and the sections that it leaves empty."""
    *sections, last = full_key.split(".")
    path = [cfg]
    for part in sections:
        path.append(path[-1][part])
    del path[-1][last]
    for parent, part in reversed(list(zip(path, sections, strict=False))):
        if not parent[part]:
            del parent[part]
