"""Notations for boxes and the ways between them."""

from enum import IntEnum, unique
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

RawBox = TypeVar("RawBox", list[float], tuple[float, ...], Tensor, np.ndarray)


@unique
class BoxMode(IntEnum):
    """How the numbers of a box are to be read; data sets write the value into their annotations.

    ABS is in pixels, REL in parts of the image's width and height (not converted yet). XYXY is two corners, XYWH
    the upper left corner, width and height; XYWHA the centre, width, height and an angle in degrees, counter-clockwise.
    """

    XYXY_ABS, XYWH_ABS, XYXY_REL, XYWH_REL, XYWHA_ABS = range(5)

    @staticmethod
    def convert(box: RawBox, from_mode: "BoxMode", to_mode: "BoxMode") -> RawBox:
        """Rewrite boxes in another notation. A rotated box becomes its axis-aligned hull.

        Args:
            box: one box as a list or tuple of 4 or 5 numbers, or any number as ``Tensor[..., 4 or 5]`` or array.
            from_mode: notation of ``box``.
            to_mode: notation wanted.

        Returns:
            new boxes, in the type of ``box``; ``box`` itself if the modes agree.

        Raises:
            ValueError: a relative mode, or boxes whose length is not that of ``from_mode``.
        """
        if from_mode == to_mode:
            return box
        from_mode, to_mode = BoxMode(from_mode), BoxMode(to_mode)
        for mode in (from_mode, to_mode):
            if mode in (BoxMode.XYXY_REL, BoxMode.XYWH_REL):
                raise ValueError(
                    f"BoxMode.convert knows absolute modes only, got {mode.name}; scale by the image first"
                )
        if isinstance(box, Tensor):
            return _convert(box, from_mode, to_mode)
        if isinstance(box, np.ndarray):
            return _convert(torch.from_numpy(np.ascontiguousarray(box)), from_mode, to_mode).numpy()
        return type(box)(_convert(torch.from_numpy(np.asarray(box)), from_mode, to_mode).tolist())


def _convert(boxes: Tensor, from_mode: BoxMode, to_mode: BoxMode) -> Tensor:
    length = 5 if from_mode == BoxMode.XYWHA_ABS else 4
    if boxes.dim() == 0 or boxes.shape[-1] != length:
        raise ValueError(f"a box in {from_mode.name} has {length} numbers, got shape {tuple(boxes.shape)}")
    if from_mode == BoxMode.XYWHA_ABS:
        boxes = _rotated_to_corners(boxes)
    elif from_mode == BoxMode.XYWH_ABS:
        boxes = torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)
    if to_mode == BoxMode.XYXY_ABS:
        return boxes
    size = boxes[..., 2:] - boxes[..., :2]
    if to_mode == BoxMode.XYWH_ABS:
        return torch.cat([boxes[..., :2], size], dim=-1)
    return torch.cat([boxes[..., :2] + size / 2, size, torch.zeros_like(size[..., :1])], dim=-1)


def _rotated_to_corners(boxes: Tensor) -> Tensor:
    """Axis-aligned hull of rotated boxes, ``Tensor[..., 5]`` -> ``Tensor[..., 4]``; the trigonometry in double."""
    precise = boxes.double()
    width, height, angle = precise[..., 2:].unbind(-1)
    cosine, sine = angle.deg2rad().cos().abs(), angle.deg2rad().sin().abs()
    half = torch.stack([cosine * width + sine * height, cosine * height + sine * width], dim=-1) / 2
    corners = torch.cat([precise[..., :2] - half, precise[..., :2] + half], dim=-1)
    return corners.to(boxes.dtype) if boxes.is_floating_point() else corners
