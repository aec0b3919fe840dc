"""Anchors given by width and height, laid out over the cells of feature maps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY, BufferList, DefaultAnchorGenerator

from .families.anchors import COCO_P5, COCO_P6, TINY
from .heads.anchors import checked_anchors
from .heads.base import Anchors

__all__ = ["YOLOAnchorGenerator", "anchor_shapes", "default_anchors"]

_PUBLISHED = {(8, 16, 32): COCO_P5, (8, 16, 32, 64): COCO_P6, (16, 32): TINY}


@ANCHOR_GENERATOR_REGISTRY.register()
class YOLOAnchorGenerator(DefaultAnchorGenerator):
    """Anchors of given widths and heights around the middle of every cell (YOLOv3, section 2.1)."""

    @configurable
    def __init__(self, *, anchors: Sequence[Sequence[Sequence[float]]], strides: Sequence[int]) -> None:
        """
        Args:
            anchors: (width, height) in pixels, for each level and anchor, as many on every level.
            strides: input pixels between neighbouring cells, one a level.

        Raises:
            ValueError: anchors that do not fit the levels.
        """
        self.shapes = checked_anchors(anchors, len(strides))
        square = [[1.0]] * len(strides)
        super().__init__(sizes=square, aspect_ratios=square, strides=strides, offset=0.5)
        self.cell_anchors = BufferList([centred(torch.tensor(level)) for level in self.shapes])

    @classmethod
    def from_config(cls, cfg: Any, input_shape: list[ShapeSpec]) -> dict[str, Any]:
        """Read ``MODEL.YOLO.ANCHORS``; if that is empty, the published anchors for the strides are taken."""
        strides = [shape.stride or 0 for shape in input_shape]
        return {"anchors": cfg.MODEL.YOLO.ANCHORS or default_anchors(strides), "strides": strides}


def centred(sizes: Tensor) -> Tensor:
    """Boxes ``Tensor[A, 4]`` around the origin of widths and heights ``Tensor[A, 2]``."""
    return torch.cat((-sizes / 2, sizes / 2), 1)


def default_anchors(strides: Sequence[int]) -> Anchors:
    """The published anchors for levels of these strides, made for COCO at 640 pixels.

    Raises:
        ValueError: there are none; the message lists the strides that there are anchors for.
    """
    if tuple(strides) not in _PUBLISHED:
        raise ValueError(
            f"there are no published anchors for strides {tuple(strides)}, only for "
            f"{', '.join(map(str, _PUBLISHED))}: set MODEL.YOLO.ANCHORS, or other MODEL.YOLO.HEAD.IN_FEATURES"
        )
    return _PUBLISHED[tuple(strides)]


def anchor_shapes(generator: nn.Module) -> Anchors:
    """Width and height in pixels of the anchors of a generator, for each level and anchor.

    Raises:
        ValueError: the generator's anchors are no axis-aligned boxes, or differ in number from level to level.
    """
    if not isinstance(generator, DefaultAnchorGenerator) or generator.box_dim != 4:
        raise ValueError(
            f"MODEL.ANCHOR_GENERATOR.NAME {type(generator).__name__} does not lay out axis-aligned boxes; a head with "
            "anchors needs YOLOAnchorGenerator or DefaultAnchorGenerator"
        )
    if isinstance(generator, YOLOAnchorGenerator):
        return generator.shapes
    sizes = [(cells[:, 2:] - cells[:, :2]).tolist() for cells in generator.cell_anchors]
    return checked_anchors(sizes, len(sizes))
