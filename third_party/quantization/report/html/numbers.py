"""Numbers as text for readers."""

import math

from ..model import Number

MISSING = "\N{EN DASH}"
_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"


def known(value: Number) -> bool:
    """Whether there is a finite figure."""
    return value is not None and math.isfinite(value)


def fixed(value: Number, digits: int = 1, *, signed: bool = False) -> str:
    """So many digits behind the point; a dash where there is no figure."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else _MINUS + "\N{INFINITY}"
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", _MINUS)


def short(value: Number, digits: int = 4) -> str:
    """So many digits that count, for values of any size."""
    if value is None or not math.isfinite(value):
        return fixed(value)
    return f"{value:.{digits}g}".replace("-", _MINUS)


def percent(share: Number, digits: int = 1) -> str:
    """A share in percent."""
    if share is None or not math.isfinite(share):
        return fixed(share)
    return fixed(100 * share, digits) + f"{_SPACE}%"


def size(count: Number) -> str:
    """Bytes, in the unit that suits."""
    if count is None or not math.isfinite(count):
        return fixed(count)
    for unit, bytes_of_unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= bytes_of_unit:
            return f"{fixed(count / bytes_of_unit, 2)}{_SPACE}{unit}"
    return f"{int(count)}{_SPACE}B"
