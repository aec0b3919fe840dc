"""Which objects are still worth learning after a crop or a warp."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["BoxFilter"]


@dataclass(frozen=True)
class BoxFilter:
    """Keeps boxes that are large, compact and visible enough.

    Attributes:
        min_side: width and height must be above this, in pixels.
        max_aspect: the longer side over the shorter one must be below this.
        min_visible: share of the moved box that must lie inside the image.

    Raises:
        ValueError: a threshold out of its range.
    """

    min_side: float = 2.0
    max_aspect: float = 100.0
    min_visible: float = 0.1

    def __post_init__(self) -> None:
        if self.min_side < 0:
            raise ValueError(f"min_side is {self.min_side}, but must not be negative")
        if self.max_aspect <= 1:
            raise ValueError(f"max_aspect is {self.max_aspect}, but must be above 1")
        if not 0 <= self.min_visible < 1:
            raise ValueError(f"min_visible is {self.min_visible}, but must lie in [0, 1)")

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> "BoxFilter":
        """From ``INPUT.YOLO.BOX_FILTER``."""
        return cls(node["MIN_SIDE"], node["MAX_ASPECT"], node["MIN_VISIBLE"])

    def __call__(self, clipped: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Whether to keep each box, bool (N,).

        Args:
            clipped: (N, 4) in pixels, cut at the image's border.
            moved: (N, 4), the same before the cut.
        """
        sides = clipped[:, 2:] - clipped[:, :2]
        areas = sides.prod(axis=1)
        whole = (moved[:, 2:] - moved[:, :2]).prod(axis=1)
        keep = (sides > self.min_side).all(axis=1) & (areas > self.min_visible * whole)
        return keep & (sides.max(axis=1) < self.max_aspect * sides.min(axis=1))
