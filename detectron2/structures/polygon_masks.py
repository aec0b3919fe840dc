"""Masks as polygons."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectron2.structures.boxes import Boxes
from detectron2.structures.polygons import polygon_area, rasterize_within_boxes


class PolygonMasks:
    """Masks of N instances, each the union of some polygons. They live on the CPU.

    ``polygons[i][j]`` is the j-th polygon of instance i, a float64 array (x0, y0, x1, y1, ...) in pixels.
    """

    def __init__(self, polygons: Sequence[Sequence[Tensor | np.ndarray]]) -> None:
        """
        Args:
            polygons: for each instance a list of its polygons, each with three corners or more.

        Raises:
            ValueError: another nesting, or a polygon with an odd number of coordinates or fewer than six.
        """
        if not isinstance(polygons, list):
            raise ValueError(f"PolygonMasks wants a list of instances, got {type(polygons).__name__}")
        self.polygons = [_checked(instance, index) for index, instance in enumerate(polygons)]

    def to(self, *args: Any, **kwargs: Any) -> "PolygonMasks":
        """Nothing moves: polygons stay on the CPU."""
        return self

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def get_bounding_boxes(self) -> Boxes:
        """Tight boxes around the instances; one without polygons gets (0, 0, 0, 0)."""
        boxes = torch.zeros(len(self), 4)
        for row, polygons in zip(boxes, self.polygons, strict=True):
            if polygons:
                points = torch.from_numpy(np.concatenate(polygons)).view(-1, 2)
                row[:2], row[2:] = points.amin(dim=0), points.amax(dim=0)
        return Boxes(boxes)

    def nonempty(self) -> Tensor:
        """Which instances have any polygon, bool ``Tensor[N]``."""
        return torch.tensor([len(polygons) > 0 for polygons in self.polygons], dtype=torch.bool)

    def __getitem__(self, item: int | slice | list[int] | torch.BoolTensor) -> "PolygonMasks":
        """Some of the instances: by an int, a slice, a list of ints, indices or a bool mask.

        Raises:
            ValueError: an index of another kind.
        """
        if isinstance(item, int):
            return PolygonMasks([self.polygons[item]])
        if isinstance(item, slice):
            return PolygonMasks(self.polygons[item])
        index = torch.as_tensor(item)
        if index.dtype == torch.bool and index.shape == (len(self),):
            index = index.nonzero()[:, 0]
        if index.numel() == 0:
            return PolygonMasks([])
        if index.dim() != 1 or index.is_floating_point() or index.dtype == torch.bool:
            raise ValueError(f"cannot index PolygonMasks by {index.dtype} of shape {tuple(index.shape)}")
        return PolygonMasks([self.polygons[i] for i in index.tolist()])

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """The polygons of one instance after the other."""
        return iter(self.polygons)

    def __repr__(self) -> str:
        return f"PolygonMasks(num_instances={len(self)})"

    def __len__(self) -> int:
        return len(self.polygons)

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Rasterise each instance on a grid over its own box; the target of a mask head.

        Args:
            boxes: ``Tensor[N, 4]``, one for each instance, on any device.
            mask_size: cells along each side of the grid.

        Returns:
            bool ``Tensor[N, mask_size, mask_size]`` on the boxes' device.

        Raises:
            ValueError: another number of boxes.
        """
        if len(boxes) != len(self):
            raise ValueError(f"crop_and_resize got {len(boxes)} boxes for {len(self)} masks")
        return rasterize_within_boxes(self.polygons, boxes.detach().cpu().numpy(), mask_size).to(boxes.device)

    def area(self) -> Tensor:
        """Areas in square pixels, the sum over an instance's polygons, float64 ``Tensor[N]``."""
        areas = [sum(polygon_area(p[0::2], p[1::2]) for p in polygons) for polygons in self.polygons]
        return torch.tensor(areas, dtype=torch.float64)

    @staticmethod
    def cat(polymasks_list: list["PolygonMasks"]) -> "PolygonMasks":
        """One list of all instances."""
        return type(polymasks_list[0])([polygons for masks in polymasks_list for polygons in masks.polygons])


def _checked(instance: Any, index: int) -> list[np.ndarray]:
    if not isinstance(instance, list):
        raise ValueError(f"instance {index} of PolygonMasks wants a list of polygons, got {type(instance).__name__}")
    polygons = [np.asarray(p.cpu() if isinstance(p, Tensor) else p, dtype=np.float64) for p in instance]
    for polygon in polygons:
        if polygon.ndim != 1 or len(polygon) % 2 or len(polygon) < 6:
            raise ValueError(
                f"a polygon of instance {index} has shape {polygon.shape}; wanted are x and y by turns, "
                "at least 3 corners"
            )
    return polygons
