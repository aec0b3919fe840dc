"""Masks and keypoints of COCO annotations, checked and in the form that mappers take."""

import math
from typing import Any

_MIN_POLYGON_NUMBERS = 6
_NUMBERS_PER_KEYPOINT = 3


def convert_segmentation(segmentation: Any, image_size: tuple[int, int]) -> list[list[float]] | dict[str, Any] | None:
    """Polygons as floats, or a compressed RLE.

    Args:
        segmentation: polygons [x, y, x, y, ...] in pixels, or an RLE with "size" and "counts".
        image_size: (height, width) in pixels.

    Returns:
        None where no polygon has 3 points.

    Raises:
        ValueError: it is neither, or belongs to an image of another size.
    """
    if isinstance(segmentation, dict):
        return _convert_rle(segmentation, image_size)
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        raise ValueError("a segmentation is a list of polygons [x, y, x, y, ...] or an RLE")
    if not all(_finite_numbers(p) for p in segmentation):
        raise ValueError("a polygon of the segmentation holds something that is no finite number")
    polygons = [p for p in segmentation if len(p) % 2 == 0 and len(p) >= _MIN_POLYGON_NUMBERS]
    # Integer coordinates would be rounded by every later transform.
    return [[float(v) for v in p] if all(type(v) is int for v in p) else p for p in polygons] or None


def _convert_rle(rle: dict[str, Any], image_size: tuple[int, int]) -> dict[str, Any]:
    if "counts" not in rle or "size" not in rle:
        raise ValueError("the segmentation RLE needs 'size' and 'counts'")
    if rle["size"] != list(image_size):
        raise ValueError(f"the segmentation RLE has size {rle['size']}, its image (height, width) {list(image_size)}")
    counts = rle["counts"]
    if not isinstance(counts, list):
        return rle
    if not all(type(v) is int and v >= 0 for v in counts) or sum(counts) != math.prod(image_size):
        raise ValueError(
            f"the counts of the segmentation RLE must be non-negative integers that add up to {math.prod(image_size)}, "
            "the pixels of the image"
        )
    import pycocotools.mask as mask_util

    return mask_util.frPyObjects(rle, *image_size)


def convert_keypoints(keypoints: Any) -> list[float]:
    """Keypoints moved by half a pixel, from counting pixels to the pixel centres that boxes are measured by.

    Args:
        keypoints: x, y, visibility of each, in pixels.

    Raises:
        ValueError: it is no such list.
    """
    if not isinstance(keypoints, list) or len(keypoints) % _NUMBERS_PER_KEYPOINT or not _finite_numbers(keypoints):
        raise ValueError("keypoints are a list of finite numbers x, y, visibility, x, y, visibility, ...")
    return [v + 0.5 if index % _NUMBERS_PER_KEYPOINT != 2 else v for index, v in enumerate(keypoints)]


def _finite_numbers(values: list[Any]) -> bool:
    try:
        # A single sum over the list is many times faster than a look at each of millions of coordinates.
        return math.isfinite(sum(values))
    except (TypeError, OverflowError):
        return False
