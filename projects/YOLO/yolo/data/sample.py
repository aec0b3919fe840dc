"""An image with its objects while it is being augmented, before it becomes tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from fvcore.transforms.transform import Transform, TransformList

from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T
from detectron2.structures import Boxes, Instances, PolygonMasks

from .box_filter import BoxFilter

__all__ = ["Sample", "augment", "load_sample", "to_instances", "transform_sample"]


@dataclass
class Sample:
    """An image and its objects.

    Attributes:
        image: (H, W) or (H, W, C).
        boxes: float64 (N, 4), x0, y0, x1, y1 in pixels.
        classes: int64 (N,).
        polygons: for each object its outlines (P, 2) as x, y in pixels; none for an object without.
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    polygons: list[list[np.ndarray]]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def select(self, keep: np.ndarray) -> Sample:
        """Only the objects where ``keep``, bool (N,), is set."""
        polygons = [own for own, kept in zip(self.polygons, keep, strict=True) if kept]
        return replace(self, boxes=self.boxes[keep], classes=self.classes[keep], polygons=polygons)

    def with_objects_of(self, other: Sample, image: np.ndarray) -> Sample:
        """The objects of this sample and then of another, on a new image."""
        return Sample(
            image,
            np.concatenate([self.boxes, other.boxes]),
            np.concatenate([self.classes, other.classes]),
            self.polygons + other.polygons,
        )


def load_sample(dataset_dict: dict[str, Any], image_format: str) -> Sample:
    """Reads the image of a dictionary in the standard form; crowds are left out.

    Args:
        dataset_dict: with "file_name" and perhaps "annotations"; it is not changed.
        image_format: see :func:`detectron2.data.detection_utils.read_image`.
    """
    image = utils.read_image(dataset_dict["file_name"], format=image_format)
    utils.check_image_size(dict(dataset_dict), image)
    objects = [a for a in dataset_dict.get("annotations", ()) if not a.get("iscrowd", 0)]
    boxes = np.array([utils.get_bbox(a) for a in objects], dtype=np.float64).reshape(-1, 4)
    classes = np.array([a["category_id"] for a in objects], dtype=np.int64)
    return Sample(image, boxes, classes, [_outlines(a.get("segmentation")) for a in objects])


def _outlines(segmentation: Any) -> list[np.ndarray]:
    if not isinstance(segmentation, list):
        return []
    return [np.array(p, dtype=np.float64).reshape(-1, 2) for p in segmentation]


def transform_sample(
    sample: Sample, transform: Transform, image: np.ndarray, box_filter: BoxFilter | None = None
) -> Sample:
    """Moves the objects of a sample along with its image, and cuts them at the border.

    Args:
        sample: before the transform.
        transform: what was applied to its image.
        image: the result.
        box_filter: which objects to keep by what is left of them; None keeps all.

    Where a transform turns or shears, the hull of an object's outlines is tighter than that of its moved box.
    """
    height, width = image.shape[:2]
    boxes, polygons = sample.boxes, sample.polygons
    steps = transform.transforms if isinstance(transform, TransformList) else [transform]
    for step in steps:
        boxes = step.apply_box(boxes)
        # Some transforms change the coordinates in place.
        polygons = [[step.apply_coords(p.copy()) for p in own] for own in polygons]
        if not getattr(step, "axis_aligned", True):
            boxes = _tightened(boxes, polygons)
    clipped = boxes.clip(0, (width, height, width, height))
    polygons = [[piece for p in own for piece in T.clip_polygon(p, width, height)] for own in polygons]
    moved = Sample(image, clipped, sample.classes, polygons)
    return moved if box_filter is None else moved.select(box_filter(clipped, boxes))


def _tightened(boxes: np.ndarray, polygons: list[list[np.ndarray]]) -> np.ndarray:
    tight = boxes.copy()
    for index, own in enumerate(polygons):
        if own:
            points = np.concatenate(own)
            tight[index] = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return tight


def augment(sample: Sample, augmentation: T.Augmentation, box_filter: BoxFilter | None = None) -> Sample:
    """Applies an augmentation of the transforms' interface to image and objects."""
    aug_input = T.AugInput(sample.image)
    transform = augmentation(aug_input)
    return transform_sample(sample, transform, aug_input.image, box_filter)


def to_instances(sample: Sample, with_masks: bool) -> Instances:
    """The objects as ground truth, those without area left out.

    Args:
        sample: with its final image.
        with_masks: also ``gt_masks``, as polygons.

    Raises:
        ValueError: masks are wanted, and an object has no outline.
    """
    sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
    sample = sample.select((sides > 0).all(axis=1))
    instances = Instances(sample.size)
    instances.gt_boxes = Boxes(torch.from_numpy(sample.boxes.astype(np.float32)))
    instances.gt_classes = torch.from_numpy(sample.classes)
    if with_masks:
        missing = sum(not own for own in sample.polygons)
        if missing:
            raise ValueError(
                f"{missing} of {len(sample)} objects have no polygon, but MODEL.MASK_ON is True: augmentation over "
                "several images needs masks as polygons, not as bitmaps or RLE"
            )
        instances.gt_masks = PolygonMasks([[p.reshape(-1) for p in own] for own in sample.polygons])
    return instances
