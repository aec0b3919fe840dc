"""All families of networks by name."""

import difflib

from .table import Family

FAMILIES: dict[str, Family] = {}


def register_family(family: Family) -> Family:
    """Add a family to :data:`FAMILIES`.

    Raises:
        ValueError: the name is taken.
    """
    if family.name in FAMILIES:
        raise ValueError(f"a family named {family.name!r} is registered already")
    FAMILIES[family.name] = family
    return family


def get_family(name: str, size: str) -> Family:
    """The family of that name, which must have the size.

    Raises:
        KeyError: there is no such family or no such size; names those there are and the nearest.
    """
    if name not in FAMILIES:
        raise KeyError(_unknown("family", name, list(FAMILIES)))
    family = FAMILIES[name]
    if size not in family.scales:
        raise KeyError(_unknown(f"size of {name}", size, list(family.scales)))
    return family


def _unknown(what: str, given: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(given.lower(), allowed, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"unknown {what}: {given!r}{hint} (there are: {', '.join(allowed)})"
