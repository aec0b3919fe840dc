"""What a data set has to offer to those who draw images from it."""

from typing import Any, Protocol

__all__ = ["Records"]


class Records(Protocol):
    """Dictionaries of a data set by index: a list of them, or a map-style data set with a length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict[str, Any]: ...
