"""Pasting mirrored objects of an image into it (after arXiv:2012.07177)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from detectron2.structures import polygons_to_bitmask

from .sample import Sample

__all__ = ["CopyPaste"]


class CopyPaste:
    """Copies objects to their places in the mirrored image, where these are free.

    Only objects with outlines are copied. One that would cover more than ``max_cover`` of another object's box is not,
    so that outlines of covered objects can be left as they are.

    Args:
        share: part of the objects that are tried, in 0..1.
        max_cover: largest covered part of another box.

    Raises:
        ValueError: a number outside 0..1.
    """

    def __init__(self, share: float, max_cover: float = 0.3) -> None:
        if not (0 <= share <= 1 and 0 <= max_cover <= 1):
            raise ValueError(f"share and max_cover of copy-paste must lie in 0..1, got {share} and {max_cover}")
        self.share = share
        self.max_cover = max_cover

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> "CopyPaste":
        """From ``INPUT.YOLO``: its node ``COPY_PASTE``."""
        return cls(node["COPY_PASTE"]["SHARE"], node["COPY_PASTE"]["MAX_COVER"])

    def __call__(self, sample: Sample) -> Sample:
        """A new sample; the given one keeps its image."""
        chosen = np.random.permutation(len(sample))[: round(self.share * len(sample))]
        if len(chosen) == 0:
            return sample
        width = sample.size[1]
        mirrored = sample.image[:, ::-1]
        image = sample.image.copy()
        result = sample
        for index in chosen:
            x0, y0, x1, y1 = sample.boxes[index]
            box = np.array([[width - x1, y0, width - x0, y1]])
            polygons = [p * (-1, 1) + (width, 0) for p in sample.polygons[index]]
            if not polygons or (_covered(result.boxes, box[0]) > self.max_cover).any():
                continue
            _paste(image, mirrored, polygons)
            copy = Sample(image, box, sample.classes[index : index + 1], [polygons])
            result = result.with_objects_of(copy, image)
        return result


def _covered(boxes: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Part of each box (N, 4) that another one (4,) covers."""
    low, high = np.maximum(boxes[:, :2], cover[:2]), np.minimum(boxes[:, 2:], cover[2:])
    common = (high - low).clip(0).prod(axis=1)
    return common / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9)


def _paste(image: np.ndarray, source: np.ndarray, polygons: list[np.ndarray]) -> None:
    """Copies what lies within the polygons; both images have the same size."""
    points = np.concatenate(polygons)
    x0, y0 = np.floor(points.min(axis=0)).astype(int).clip(0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int), (image.shape[1], image.shape[0]))
    if x1 <= x0 or y1 <= y0:
        return
    mask = polygons_to_bitmask([(p - (x0, y0)).reshape(-1) for p in polygons], int(y1 - y0), int(x1 - x0))
    image[y0:y1, x0:x1][mask] = source[y0:y1, x0:x1][mask]
