"""One instance mask that is a bitmap, polygons or a COCO RLE, and turns into the others on demand."""

from collections.abc import Sequence

import numpy as np

from detectron2.structures.polygons import decode_rle

__all__ = ["GenericMask"]


class GenericMask:
    """A segmentation mask in whichever form it is asked for.

    Args:
        mask_or_polygons: a bitmap of shape (height, width), a list of polygons
            ``[x0, y0, x1, y1, ...]`` in pixels, or a COCO RLE dictionary.
        height, width: size of the image in pixels.

    Raises:
        ValueError: if a bitmap or RLE has another size than the image.
    """

    def __init__(self, mask_or_polygons: np.ndarray | Sequence | dict, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._mask: np.ndarray | None = None
        self._polygons: list[np.ndarray] | None = None
        self._has_holes: bool | None = None
        if isinstance(mask_or_polygons, dict):
            self._mask = decode_rle(mask_or_polygons)
        elif isinstance(mask_or_polygons, np.ndarray) and mask_or_polygons.ndim == 2:
            self._mask = mask_or_polygons.astype(np.uint8)
        else:
            self._polygons = [np.asarray(p, dtype=np.float64).reshape(-1) for p in mask_or_polygons]
            self._has_holes = False
        if self._mask is not None and self._mask.shape != (height, width):
            raise ValueError(f"mask of shape {self._mask.shape} does not fit an image of {(height, width)}")

    @property
    def mask(self) -> np.ndarray:
        """uint8 bitmap of shape (height, width)."""
        if self._mask is None:
            self._mask = self.polygons_to_mask(self._polygons)
        return self._mask

    @property
    def polygons(self) -> list[np.ndarray]:
        """Outlines as flat arrays of x, y in pixels; holes are left out."""
        if self._polygons is None:
            self._polygons, self._has_holes = self.mask_to_polygons(self._mask)
        return self._polygons

    @property
    def has_holes(self) -> bool:
        """Whether the outlines alone lose a hole of the bitmap."""
        if self._has_holes is None:
            self._polygons, self._has_holes = self.mask_to_polygons(self._mask)
        return self._has_holes

    def mask_to_polygons(self, mask: np.ndarray) -> tuple[list[np.ndarray], bool]:
        """Outlines of the connected parts of ``mask`` (H, W), and whether any part has a hole."""
        from contourpy import FillType, contour_generator

        # A border of zeros closes outlines at the image edge; 0.5 puts pixel centres on the half-integer grid.
        padded = np.pad(mask.astype(np.float32), 1)
        grid = contour_generator(z=padded, fill_type=FillType.OuterOffset)
        points, offsets = grid.filled(0.5, np.inf)
        outlines = [p[: o[1]] - 0.5 for p, o in zip(points, offsets, strict=True)]
        limit = (self.width, self.height)
        return [o.clip(0, limit).reshape(-1) for o in outlines if len(o) > 3], any(len(o) > 2 for o in offsets)

    def polygons_to_mask(self, polygons: list[np.ndarray]) -> np.ndarray:
        """Union of ``polygons`` as a uint8 bitmap of shape (height, width)."""
        import pycocotools.mask as mask_util

        if not polygons:
            return np.zeros((self.height, self.width), dtype=np.uint8)
        rles = mask_util.frPyObjects([list(p) for p in polygons], self.height, self.width)
        return mask_util.decode(mask_util.merge(rles))

    def area(self) -> int:
        """Number of pixels inside."""
        return int(self.mask.sum())

    def bbox(self) -> np.ndarray:
        """Tight box ``[x0, y0, x1, y1]`` in pixels; zeros for an empty mask."""
        ys, xs = np.nonzero(self.mask)
        if len(xs) == 0:
            return np.zeros(4)
        return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], dtype=np.float64)
