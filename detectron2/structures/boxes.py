"""Sets of axis-aligned boxes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from detectron2.structures.box_mode import BoxMode
from detectron2.structures.pairwise import (
    matched_pairwise_iou,
    pairwise_intersection,
    pairwise_ioa,
    pairwise_iou,
    pairwise_point_box_distance,
)

__all__ = [
    "BoxMode",
    "Boxes",
    "matched_pairwise_iou",
    "pairwise_intersection",
    "pairwise_ioa",
    "pairwise_iou",
    "pairwise_point_box_distance",
]


class Boxes:
    """A list of boxes as one float32 ``Tensor[N, 4]`` of (x0, y0, x1, y1) in pixels, and what one does with them.

    It can be indexed like a list or a tensor; ``tensor`` holds the numbers.
    """

    def __init__(self, tensor: Tensor) -> None:
        """
        Args:
            tensor: ``Tensor[N, 4]``, or what becomes one; anything empty stands for no boxes.

        Raises:
            ValueError: another shape.
        """
        tensor = torch.as_tensor(tensor, dtype=torch.float32)
        if tensor.dim() != 2 or tensor.shape[1] != 4:
            if tensor.numel() > 0:
                raise ValueError(f"Boxes wants a tensor of shape (N, 4), got {tuple(tensor.shape)}")
            tensor = tensor.reshape(0, 4)
        self.tensor = tensor

    def clone(self) -> "Boxes":
        """A copy with memory of its own."""
        return Boxes(self.tensor.clone())

    def to(self, device: torch.device) -> "Boxes":
        """The same boxes on another device."""
        return Boxes(self.tensor.to(device=device))

    def area(self) -> Tensor:
        """Areas in square pixels, ``Tensor[N]``."""
        return (self.tensor[:, 2] - self.tensor[:, 0]) * (self.tensor[:, 3] - self.tensor[:, 1])

    def clip(self, box_size: tuple[int, int]) -> None:
        """Move corners that lie outside an image of ``box_size`` (height, width) to its border, in place."""
        height, width = box_size
        x, y = self.tensor[:, 0::2].clamp(min=0, max=width), self.tensor[:, 1::2].clamp(min=0, max=height)
        self.tensor = torch.stack([x, y], dim=2).flatten(1)

    def nonempty(self, threshold: float = 0.0) -> Tensor:
        """Which boxes are wider and higher than ``threshold`` pixels, bool ``Tensor[N]``."""
        width, height = (self.tensor[:, 2:] - self.tensor[:, :2]).unbind(1)
        return (width > threshold) & (height > threshold)

    def __getitem__(self, item: Any) -> "Boxes":
        """Some of the boxes: by an int, a slice, indices or a bool mask.

        Raises:
            ValueError: an index that leaves something else than boxes.
        """
        chosen = self.tensor[item]
        if isinstance(item, int):
            chosen = chosen[None]
        if chosen.dim() != 2:
            raise ValueError(f"indexing Boxes by {item!r} gives shape {tuple(chosen.shape)}, which are no boxes")
        return Boxes(chosen)

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __repr__(self) -> str:
        return f"Boxes({self.tensor})"

    def inside_box(self, box_size: tuple[int, int], boundary_threshold: int = 0) -> Tensor:
        """Which boxes lie inside an image.

        Args:
            box_size: height and width of the image.
            boundary_threshold: pixels by which a box may reach out.

        Returns:
            bool ``Tensor[N]``.
        """
        height, width = box_size
        x0, y0, x1, y1 = self.tensor.unbind(1)
        low, right, bottom = -boundary_threshold, width + boundary_threshold, height + boundary_threshold
        return (x0 >= low) & (y0 >= low) & (x1 < right) & (y1 < bottom)

    def get_centers(self) -> Tensor:
        """Centres (x, y), ``Tensor[N, 2]``."""
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Multiply x and y coordinates, in place."""
        self.tensor[:, 0::2] *= scale_x
        self.tensor[:, 1::2] *= scale_y

    @classmethod
    def cat(cls, boxes_list: list["Boxes"]) -> "Boxes":
        """One set of all boxes. No sets give an empty one."""
        if not boxes_list:
            return cls(torch.empty(0, 4))
        return cls(torch.cat([boxes.tensor for boxes in boxes_list], dim=0))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def __iter__(self) -> Iterator[Tensor]:
        """One ``Tensor[4]`` a box."""
        yield from self.tensor
