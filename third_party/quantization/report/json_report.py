"""Reports and other plain values as JSON that every reader takes."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_text


def plain(value: Any) -> Any:
    """A value in terms of dict, list, str, int, float, bool and None.

    Dataclasses become dicts of their fields, numbers that are not finite become None, bytes (PNG files) become data
    URIs.

    Raises:
        TypeError: a value that JSON has no form for.
    """
    if value is None or isinstance(value, (str, bool, int)) and not isinstance(value, Enum):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return data_uri(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, PathLike):
        return fspath(value)
    raise TypeError(f"no JSON for a value of type {type(value).__name__}: {value!r:.80}")


def data_uri(png: bytes) -> str:
    """A PNG file as an address that holds the file itself.

    Raises:
        ValueError: it is no PNG file.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"pictures of a report are PNG files; this one begins with {png[:8]!r}")
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def to_json(report: Any) -> str:
    """A report, or other plain values, as JSON; without NaN and Infinity, which JSON does not have."""
    return json.dumps(plain(report), indent=1, allow_nan=False)


def write_json(report: Any, path: str | Path) -> Path:
    """Write JSON; the file appears whole or not at all.

    Raises:
        TypeError: a value that JSON has no form for; nothing is written.
        OSError: the file cannot be written.
    """
    return write_text(path, to_json(report) + "\n")
