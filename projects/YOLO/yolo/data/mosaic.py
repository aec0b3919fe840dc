"""Four images around a random point (arXiv:2004.10934, section 3.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import PadTransform

from .letterbox import FILL
from .sample import Sample, transform_sample

__all__ = ["Mosaic"]


class Mosaic:
    """Puts four images on a canvas of twice the size in both directions so that they meet in one point.

    The point is drawn evenly from the middle half of the canvas. What reaches beyond the canvas is cut off; objects
    of which nothing is left are dropped.

    Args:
        size: (height, width) in pixels of one quarter.
        fill: value where no image reaches.

    Raises:
        ValueError: the size is not positive.
    """

    images = 4

    def __init__(self, size: tuple[int, int], fill: float = FILL) -> None:
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"a mosaic needs a positive (height, width), got {size}")
        self.size = size
        self.fill = fill

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> "Mosaic":
        """From ``INPUT.YOLO``: its keys ``SIZE`` and ``FILL``."""
        return cls(tuple(node["SIZE"]), node["FILL"])

    def __call__(self, samples: Sequence[Sample]) -> Sample:
        """The mosaic of four samples, each at most as large as a quarter.

        Args:
            samples: at the top left, top right, bottom left and bottom right of the point.

        Raises:
            ValueError: another number of samples, or images with different channels.
        """
        if len(samples) != self.images:
            raise ValueError(f"a mosaic needs {self.images} samples, got {len(samples)}")
        channels = {s.image.shape[2:] for s in samples}
        if len(channels) > 1:
            raise ValueError(f"images of a mosaic differ in their channels, {sorted(channels)}: set INPUT.FORMAT")
        height, width = self.size
        y = int(np.random.uniform(height / 2, 3 * height / 2))
        x = int(np.random.uniform(width / 2, 3 * width / 2))
        shape = (2 * height, 2 * width, *samples[0].image.shape[2:])
        canvas = np.full(shape, self.fill, dtype=samples[0].image.dtype)
        placed = []
        for index, sample in enumerate(samples):
            own_h, own_w = sample.size
            top = y - own_h if index < 2 else y
            left = x - own_w if index % 2 == 0 else x
            _paste(canvas, sample.image, top, left)
            shift = PadTransform(left, top, 0, 0)
            placed.append(transform_sample(sample, shift, canvas))
        merged = placed[0]
        for sample in placed[1:]:
            merged = merged.with_objects_of(sample, canvas)
        sides = merged.boxes[:, 2:] - merged.boxes[:, :2]
        return merged.select(sides.min(axis=1) > 0)


def _paste(canvas: np.ndarray, image: np.ndarray, top: int, left: int) -> None:
    """Writes an image whose corner may lie outside of the canvas."""
    bottom, right = min(top + image.shape[0], canvas.shape[0]), min(left + image.shape[1], canvas.shape[1])
    y, x = max(top, 0), max(left, 0)
    canvas[y:bottom, x:right] = image[y - top : bottom - top, x - left : right - left]
