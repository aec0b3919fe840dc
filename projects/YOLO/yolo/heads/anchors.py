"""Anchors as configs write them."""

from collections.abc import Sequence

from .base import Anchors

__all__ = ["checked_anchors"]


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
