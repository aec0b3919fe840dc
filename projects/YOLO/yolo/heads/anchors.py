"""Anchors as configs write them, and as losses read them."""

from collections.abc import Sequence
from typing import Any

from .base import Anchors, DetectionHead

__all__ = ["AnchorsOf", "checked_anchors"]


def checked_anchors(anchors: Sequence[Sequence[Sequence[float]]], levels: int) -> Anchors:
    """Anchors as tuples, once they are known to be meant well.

    Args:
        anchors: (width, height) in pixels, for each level and anchor.
        levels: how many there must be.

    Raises:
        ValueError: another number of levels, levels with different numbers of anchors, or no positive sides.
    """
    if len(anchors) != levels:
        raise ValueError(f"MODEL.YOLO.ANCHORS has {len(anchors)} levels, but the head has {levels}")
    counts = {len(level) for level in anchors}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"MODEL.YOLO.ANCHORS needs as many anchors on every level, got {[len(a) for a in anchors]}")
    for anchor in (anchor for level in anchors for anchor in level):
        if len(anchor) != 2 or min(anchor) <= 0:
            raise ValueError(f"MODEL.YOLO.ANCHORS has {list(anchor)}, which is no positive width and height")
    return tuple(tuple((float(width), float(height)) for width, height in level) for level in anchors)


class AnchorsOf(Sequence[tuple[tuple[float, float], ...]]):
    """The anchors that a head has at the moment, for a loss that is made before the head's weights are loaded."""

    def __init__(self, head: DetectionHead) -> None:
        """
        Args:
            head: with anchors.
        """
        self._head = head

    def _anchors(self) -> Anchors:
        assert self._head.anchors is not None
        return self._head.anchors

    def __len__(self) -> int:
        return len(self._anchors())

    def __getitem__(self, index: Any) -> Any:
        return self._anchors()[index]
