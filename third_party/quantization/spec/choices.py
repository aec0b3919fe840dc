"""Checks of single values, with errors that name the value and what is allowed."""

import difflib
import math
from collections.abc import Iterable
from typing import Any


def near_matches(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Those of ``known`` that are spelt like ``name``, the most similar first."""
    lowered = {text.lower(): text for text in known}
    return [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=limit, cutoff=0.5)]


def hint(name: str, known: Iterable[str]) -> str:
    """ " Did you mean a, b?", or nothing when nothing is similar."""
    similar = near_matches(name, known)
    return f" Did you mean {', '.join(similar)}?" if similar else ""


def check_choice(field: str, value: Any, allowed: Iterable[str], besides: str = "") -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``allowed``."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        guess = hint(value, allowed) if isinstance(value, str) else ""
        listed = ", ".join(allowed) + (f" {besides}" if besides else "")
        raise ValueError(f"{field} must be one of {listed}; got {value!r}.{guess}")


def check_number(
    field: str, value: Any, *, at_least: float = -math.inf, above: float = -math.inf, at_most: float = math.inf
) -> None:
    """Raise ``ValueError`` unless ``value`` is a finite number within the bounds."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < at_least or value <= above or value > at_most:
        bounds = [
            text
            for text, bound in (
                (f"at least {at_least}", at_least),
                (f"above {above}", above),
                (f"at most {at_most}", at_most),
            )
            if math.isfinite(bound)
        ]
        raise ValueError(f"{field} must be a number{' ' if bounds else ''}{', '.join(bounds)}; got {value!r}")


def check_whole(field: str, value: Any, *, at_least: float = -math.inf, at_most: float = math.inf) -> None:
    """Raise ``ValueError`` unless ``value`` is an ``int`` within the bounds; ``True`` is not a number here."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{field} must be a whole number; got {value!r}")
    check_number(field, value, at_least=at_least, at_most=at_most)


def check_bool(field: str, value: Any) -> None:
    """Raise ``ValueError`` unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{field} must be True or False; got {value!r}")


def check_type(field: str, value: Any, *types: type) -> None:
    """Raise ``ValueError`` unless ``value`` is an instance of one of ``types``."""
    if not isinstance(value, types):
        allowed = " or ".join("None" if t is type(None) else t.__name__ for t in types)
        raise ValueError(f"{field} must be {allowed}; got {value!r}")
