"""Polygons and the pixels that they cover."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def polygon_area(x: np.ndarray, y: np.ndarray) -> float:
    """Area of a polygon by its corners (the shoelace formula). Self-overlaps count once more or cancel.

    Args:
        x, y: coordinates of the corners in order, each of shape (K,).
    """
    return float(0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def polygons_to_bitmask(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Pixels inside any of the polygons, by COCO's rule.

    Args:
        polygons: each an array of shape (2 * K,), x and y by turns, in pixels.
        height, width: of the canvas.

    Returns:
        bool array of shape (height, width); all False for no polygons.
    """
    if len(polygons) == 0:  # an instance whose polygons were cropped away
        return np.zeros((height, width), dtype=bool)
    covered = _cover([np.asarray(polygon, dtype=np.float64) for polygon in polygons], height, width)
    return np.logical_or.reduce(covered, axis=2)


def rasterize_polygons_within_box(polygons: list[np.ndarray], box: np.ndarray, mask_size: int) -> Tensor:
    """The part of an instance's polygons inside a box, on a square grid over that box.

    Args:
        polygons: as for ``polygons_to_bitmask``.
        box: array of shape (4,), (x0, y0, x1, y1) in pixels.
        mask_size: cells along each side of the grid.

    Returns:
        bool ``Tensor[mask_size, mask_size]``.
    """
    return rasterize_within_boxes([polygons], np.asarray(box)[None], mask_size)[0]


def rasterize_within_boxes(instances: list[list[np.ndarray]], boxes: np.ndarray, mask_size: int) -> Tensor:
    """``rasterize_polygons_within_box`` for N instances at once, each in its own box: bool ``Tensor[N, M, M]``."""
    counts = np.array([len(polygons) for polygons in instances])
    masks = np.zeros((len(instances), mask_size, mask_size), dtype=bool)
    flat = [polygon for polygons in instances for polygon in polygons]
    if flat:
        corners = [len(polygon) // 2 for polygon in flat]
        owner = np.repeat(np.repeat(np.arange(len(instances)), counts), corners)
        # boxes thinner than a tenth of a pixel would blow their polygons up without bound
        scale = mask_size / np.maximum(boxes[:, 2:] - boxes[:, :2], 0.1)
        points = (np.concatenate(flat).reshape(-1, 2) - boxes[owner, :2]) * scale[owner]
        covered = _cover(np.split(points.reshape(-1), 2 * np.cumsum(corners)[:-1]), mask_size, mask_size)
        with_polygons = np.flatnonzero(counts)
        first = np.concatenate([[0], np.cumsum(counts[with_polygons])[:-1]])
        masks[with_polygons] = np.logical_or.reduceat(covered, first, axis=2).transpose(2, 0, 1)
    return torch.from_numpy(masks)


def _cover(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Pixels inside each of P > 0 polygons, array of shape (height, width, P)."""
    import pycocotools.mask as mask_util

    return mask_util.decode(mask_util.frPyObjects(polygons, height, width))


def decode_rle(rle: dict[str, Any]) -> np.ndarray:
    """The uint8 bitmap (H, W) of a COCO run-length encoding, compressed or with a list of counts."""
    import pycocotools.mask as mask_util

    if isinstance(rle["counts"], list):
        rle = mask_util.frPyObjects(rle, *rle["size"])
    return mask_util.decode(rle)
