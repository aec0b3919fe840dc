"""Fixed-size features of boxes, taken from the pyramid level that fits each box."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.layers.roi_align import ROIAlign
from detectron2.layers.wrappers import cat, nonzero_tuple, shapes_to_tensor  # noqa: F401
from detectron2.structures.boxes import Boxes
from detectron2.utils.tracing import assert_fx_safe, is_fx_tracing  # noqa: F401

__all__ = ["ROIPooler", "assign_boxes_to_levels", "convert_boxes_to_pooler_format"]

# Keeps log2 finite for boxes without area, and is lost in any other ratio.
_EPS = sys.float_info.epsilon


def assign_boxes_to_levels(
    box_lists: list[Boxes], min_level: int, max_level: int, canonical_box_size: int, canonical_level: int
) -> Tensor:
    """Pyramid level of each box by its area (FPN paper, eq. 1).

    Args:
        box_lists: boxes of each image, M in all.
        min_level, max_level: range of levels, as log2 of the stride.
        canonical_box_size: side in pixels of a square box that belongs to ``canonical_level``.
        canonical_level: as log2 of the stride.

    Returns:
        int64 ``Tensor[M]``: level of each box, 0 for ``min_level``.
    """
    sides = cat([boxes.area() for boxes in box_lists]).sqrt()
    levels = torch.floor(canonical_level + torch.log2(sides / canonical_box_size + _EPS))
    return levels.clamp(min=min_level, max=max_level).to(torch.int64) - min_level


def convert_boxes_to_pooler_format(box_lists: list[Boxes]) -> Tensor:
    """Boxes of all images in one tensor.

    Args:
        box_lists: for each of N images ``Boxes`` with a ``Tensor[M_i, B]``.

    Returns:
        ``Tensor[M, 1 + B]``: index of the image in the batch, then the box.
    """
    return torch.cat([F.pad(boxes.tensor, (1, 0), value=float(image)) for image, boxes in enumerate(box_lists)])


class ROIPooler(nn.Module):
    """Pools each box from one level of a feature pyramid, chosen by its size.

    Args:
        output_size: height and width of the result; one number for a square.
        scales: for each level 1 / stride, from fine to coarse, each half the one before.
        sampling_ratio: samples a bin along each axis; 0: adaptive. See :class:`ROIAlign`.
        pooler_type: "ROIAlign" (original, half a pixel off), "ROIAlignV2" (aligned) or "ROIPool".
        canonical_box_size, canonical_level: see :func:`assign_boxes_to_levels`.

    Raises:
        ValueError: for an unknown type or scales that are no such row of powers of 2.
    """

    def __init__(
        self,
        output_size: int | Sequence[int],
        scales: Sequence[float],
        sampling_ratio: int,
        pooler_type: str,
        canonical_box_size: int = 224,
        canonical_level: int = 4,
    ) -> None:
        super().__init__()
        self.output_size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        if len(self.output_size) != 2:
            raise ValueError(f"output_size must be one number or two, got {output_size}")
        if canonical_box_size <= 0:
            raise ValueError(f"canonical_box_size must be positive, got {canonical_box_size}")
        self.min_level, self.max_level = _level_range(scales)
        self.level_poolers = nn.ModuleList(
            _make_pooler(pooler_type, self.output_size, scale, sampling_ratio) for scale in scales
        )
        self.canonical_level = canonical_level
        self.canonical_box_size = canonical_box_size

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Pool all boxes.

        Args:
            x: ``Tensor[N, C, H_l, W_l]`` for each level.
            box_lists: for each of the N images ``Boxes`` in input pixels, M in all.

        Returns:
            ``Tensor[M, C, *output_size]``, in the order of the boxes.

        Raises:
            ValueError: when levels or images do not fit the pooler or each other.
        """
        if len(x) != len(self.level_poolers):
            raise ValueError(f"this pooler serves {len(self.level_poolers)} levels, got {len(x)} feature maps")
        if len(box_lists) != x[0].shape[0]:
            raise ValueError(f"boxes of {len(box_lists)} images for a batch of {x[0].shape[0]}")
        if len(box_lists) == 0:
            return x[0].new_zeros((0, x[0].shape[1], *self.output_size))
        rois = convert_boxes_to_pooler_format(box_lists)
        if len(self.level_poolers) == 1:
            return self.level_poolers[0](x[0], rois)
        levels = assign_boxes_to_levels(
            box_lists, self.min_level, self.max_level, self.canonical_box_size, self.canonical_level
        )
        members = [nonzero_tuple(levels == level)[0] for level in range(len(x))]
        # A level without boxes is pooled all the same: every feature map stays in the graph of every process.
        pooled = torch.cat(
            [pool(feature, rois[index]) for pool, feature, index in zip(self.level_poolers, x, members, strict=True)]
        )
        return torch.empty_like(pooled).index_copy(0, torch.cat(members), pooled)


def _level_range(scales: Sequence[float]) -> tuple[int, int]:
    """log2 of the finest and the coarsest stride."""
    levels = [-math.log2(scale) for scale in scales]
    first = round(levels[0])
    if any(not math.isclose(level, first + position) for position, level in enumerate(levels)) or first < 0:
        raise ValueError(f"scales must be 1 / stride with strides that are powers of 2 in a row, got {list(scales)}")
    return first, first + len(levels) - 1


def _make_pooler(pooler_type: str, output_size: tuple[int, ...], scale: float, sampling_ratio: int) -> nn.Module:
    arguments: dict[str, Any] = {"spatial_scale": scale, "sampling_ratio": sampling_ratio}
    if pooler_type == "ROIAlign":
        return ROIAlign(output_size, **arguments, aligned=False)
    if pooler_type == "ROIAlignV2":
        return ROIAlign(output_size, **arguments, aligned=True)
    if pooler_type == "ROIPool":
        from torchvision.ops import RoIPool

        return RoIPool(output_size, spatial_scale=scale)
    raise ValueError(f"pooler_type (POOLER_TYPE) must be ROIAlign, ROIAlignV2 or ROIPool, got {pooler_type!r}")
