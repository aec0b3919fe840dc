"""Masks as one bit a pixel."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from detectron2.layers.roi_align import roi_align
from detectron2.structures.boxes import Boxes
from detectron2.structures.polygon_masks import PolygonMasks
from detectron2.structures.polygons import polygons_to_bitmask

if TYPE_CHECKING:
    from detectron2.structures.roi_masks import ROIMasks

_MARGIN = 2  # pixels that bilinear samples of a box may read outside of it


class BitMasks:
    """Masks of N instances on the whole image, bool ``Tensor[N, H, W]`` in ``tensor``."""

    def __init__(self, tensor: Tensor | np.ndarray) -> None:
        """
        Args:
            tensor: shape (N, H, W); anything but 0 is inside.

        Raises:
            ValueError: another shape.
        """
        tensor = torch.as_tensor(tensor, dtype=torch.bool)
        if tensor.dim() != 3:
            raise ValueError(f"BitMasks wants a tensor of shape (N, H, W), got {tuple(tensor.shape)}")
        self.image_size: tuple[int, int] = (tensor.shape[1], tensor.shape[2])
        self.tensor = tensor

    def to(self, *args: Any, **kwargs: Any) -> "BitMasks":
        """As ``Tensor.to``."""
        return BitMasks(self.tensor.to(*args, **kwargs))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def __getitem__(self, item: int | slice | torch.BoolTensor) -> "BitMasks":
        """Some of the masks: by an int, a slice, indices or a bool mask.

        Raises:
            ValueError: an index that leaves something else than masks.
        """
        chosen = self.tensor[item]
        if isinstance(item, int):
            chosen = chosen[None]
        if chosen.dim() != 3:
            raise ValueError(f"indexing BitMasks by {item!r} gives shape {tuple(chosen.shape)}, which are no masks")
        return BitMasks(chosen)

    def __iter__(self) -> Iterator[Tensor]:
        """One ``Tensor[H, W]`` a mask."""
        yield from self.tensor

    def __repr__(self) -> str:
        return f"BitMasks(num_instances={len(self)})"

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def nonempty(self) -> Tensor:
        """Which masks have any pixel, bool ``Tensor[N]``."""
        return _any(_any(self.tensor, 2), 1)

    @staticmethod
    def from_polygon_masks(polygon_masks: PolygonMasks | list[list[np.ndarray]], height: int, width: int) -> "BitMasks":
        """Rasterise polygons on an image of this size."""
        polygons = polygon_masks.polygons if isinstance(polygon_masks, PolygonMasks) else polygon_masks
        masks = np.zeros((len(polygons), height, width), dtype=bool)
        for mask, instance in zip(masks, polygons, strict=True):
            mask[:] = polygons_to_bitmask(instance, height, width)
        return BitMasks(torch.from_numpy(masks))

    @staticmethod
    def from_roi_masks(roi_masks: "ROIMasks", height: int, width: int) -> "BitMasks":
        """Masks whose boxes are the whole image, stretched to its size."""
        image = roi_masks.tensor.new_tensor([0, 0, width, height], dtype=torch.float32)
        return roi_masks.to_bitmasks(image.expand(len(roi_masks), 4), height, width)

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Resample each mask on a grid over its own box (ROIAlign); the target of a mask head.

        Args:
            boxes: ``Tensor[N, 4]``, one for each mask, on the masks' device.
            mask_size: cells along each side of the grid.

        Returns:
            bool ``Tensor[N, mask_size, mask_size]``: cells that are inside by a half or more.

        Raises:
            ValueError: another number of boxes.
        """
        if len(boxes) != len(self):
            raise ValueError(f"crop_and_resize got {len(boxes)} boxes for {len(self)} masks")
        boxes = boxes.to(device=self.device, dtype=torch.float32)
        if self.device.type != "cpu":
            index = torch.arange(len(self), device=self.device, dtype=boxes.dtype)[:, None]
            return _resample(self.tensor[:, None], torch.cat([index, boxes], dim=1), mask_size)
        crops = torch.zeros(len(self), mask_size, mask_size, dtype=torch.bool)
        for crop, mask, box in zip(crops, self.tensor, boxes, strict=True):
            region, shift = _around(box, self.image_size)
            if mask[region].numel() > 0:
                crop.copy_(
                    _resample(mask[region][None, None], torch.cat([box.new_zeros(1), box - shift])[None], mask_size)[0]
                )
        return crops

    def get_bounding_boxes(self) -> Boxes:
        """Tight boxes: first row and column inside, and the ones behind the last. Empty masks get (0, 0, 0, 0)."""
        columns, rows = _extent(_any(self.tensor, 1)), _extent(_any(self.tensor, 2))
        return Boxes(torch.stack([columns[0], rows[0], columns[1], rows[1]], dim=1))

    @staticmethod
    def cat(bitmasks_list: list["BitMasks"]) -> "BitMasks":
        """One set of all masks, which must agree in height and width."""
        return type(bitmasks_list[0])(torch.cat([masks.tensor for masks in bitmasks_list], dim=0))


def _resample(masks: Tensor, rois: Tensor, mask_size: int) -> Tensor:
    return roi_align(masks.float(), rois, mask_size, 1.0, 0, True)[:, 0] >= 0.5


def _around(box: Tensor, image_size: tuple[int, int]) -> tuple[tuple[slice, slice], Tensor]:
    """What of the image a box's samples read, and by how much coordinates shift there.

    Turning a whole mask into floating point costs far more than resampling a part of it.
    """
    height, width = image_size
    low, high = box[:2].floor() - _MARGIN, box[2:].ceil() + _MARGIN
    left, top = low.clamp(min=0).int().tolist()
    right, bottom = high.int().tolist()
    region = (slice(top, max(top, min(bottom, height))), slice(left, max(left, min(right, width))))
    return region, box.new_tensor([left, top, left, top])


def _any(bits: Tensor, dim: int) -> Tensor:
    """``bits.any(dim)``, which for bits is many times slower than a maximum of bytes."""
    return bits.any(dim) if bits.shape[dim] == 0 else bits.view(torch.uint8).amax(dim).bool()


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First index that is set and the one behind the last, for each row of ``Tensor[N, K]``; 0 where none is."""
    length = occupied.shape[1]
    if length == 0:
        return occupied.new_zeros(len(occupied)), occupied.new_zeros(len(occupied))
    index = torch.arange(length, device=occupied.device)
    start, end = torch.where(occupied, index, length), torch.where(occupied, index + 1, 0)
    return start.amin(dim=1) % length, end.amax(dim=1)
