"""Heads by kind, for feature maps of any network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .anchor_based import AnchorBasedHead
from .anchor_free import AnchorFreeHead
from .base import Anchors, DetectionHead
from .end_to_end import EndToEndHead
from .yolox import YOLOXHead

__all__ = ["GRID_HEADS", "GridHeadSettings", "build_grid_head"]


@dataclass(frozen=True)
class GridHeadSettings:
    """What a head is built from, beside its inputs.

    Attributes:
        kind: in :data:`GRID_HEADS`.
        num_classes: number of classes.
        reg_max: bins of a box side, for heads without anchors and objectness.
        hidden_channels: of the branches of heads with an objectness but no anchors.
        depthwise: depthwise separable convolutions in these branches.
        implicit: implicit knowledge around the convolutions of anchor-based heads.
        anchors: width and height in pixels, for each level and anchor, for anchor-based heads.
    """

    kind: str
    num_classes: int
    reg_max: int = 16
    hidden_channels: int = 256
    depthwise: bool = False
    implicit: bool = False
    anchors: Anchors | None = None

    def __post_init__(self) -> None:
        if self.kind not in GRID_HEADS:
            raise ValueError(f"MODEL.YOLO.HEAD.KIND is {self.kind!r}; allowed are {', '.join(GRID_HEADS)}")
        for name, value in (("REG_MAX", self.reg_max), ("HIDDEN_CHANNELS", self.hidden_channels)):
            if value < 1:
                raise ValueError(f"MODEL.YOLO.HEAD.{name} is {value}; it must be 1 or more")


def _anchor_free(channels: Sequence[int], strides: Sequence[int], settings: GridHeadSettings) -> DetectionHead:
    return AnchorFreeHead(channels, settings.num_classes, strides, reg_max=settings.reg_max)


def _end_to_end(channels: Sequence[int], strides: Sequence[int], settings: GridHeadSettings) -> DetectionHead:
    return EndToEndHead(channels, settings.num_classes, strides, reg_max=settings.reg_max)


def _yolox(channels: Sequence[int], strides: Sequence[int], settings: GridHeadSettings) -> DetectionHead:
    return YOLOXHead(
        channels,
        settings.num_classes,
        strides,
        hidden_channels=settings.hidden_channels,
        depthwise=settings.depthwise,
    )


def _anchor_based(channels: Sequence[int], strides: Sequence[int], settings: GridHeadSettings) -> DetectionHead:
    if settings.anchors is None:
        raise ValueError("MODEL.YOLO.HEAD.KIND anchor_based needs anchors: set MODEL.YOLO.ANCHORS")
    return AnchorBasedHead(
        channels, settings.num_classes, strides, anchors=settings.anchors, implicit=settings.implicit
    )


GRID_HEADS: dict[str, Callable[[Sequence[int], Sequence[int], GridHeadSettings], DetectionHead]] = {
    "anchor_free_dfl": _anchor_free,
    "end_to_end": _end_to_end,
    "yolox": _yolox,
    "anchor_based": _anchor_based,
}


def build_grid_head(channels: Sequence[int], strides: Sequence[int], settings: GridHeadSettings) -> DetectionHead:
    """A head with fresh weights.

    Args:
        channels, strides: of the feature map of each level, from fine to coarse.
        settings: the rest.

    Raises:
        ValueError: an anchor-based head without anchors, or with a number of them that does not fit the levels.
    """
    return GRID_HEADS[settings.kind](channels, strides, settings)
