"""Asking for a version of PyTorch."""

import re

import torch

__all__ = ["min_torch_version"]


def _release(version: str) -> tuple[int, ...]:
    """The release numbers at the beginning of a version, e.g. ``2.15.0+cu132`` -> (2, 15, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    if match is None:
        raise ValueError(f"{version!r} is not a version number such as '2.11'")
    return tuple(int(part) for part in match.group().split("."))


def min_torch_version(min_version: str) -> bool:
    """Whether the installed PyTorch is of this version or a later one; a nightly counts as its release.

    Args:
        min_version: e.g. ``"2.11"``.

    Raises:
        ValueError: not a version number.
    """
    return _release(torch.__version__) >= _release(min_version)
