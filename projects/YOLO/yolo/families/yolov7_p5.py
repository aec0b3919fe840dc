"""YOLOv7 with three levels: the sizes tiny, base and x."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..heads import AnchorBasedHead
from ..layers import ELAN, PyramidCSP, ReparamConv, TinyPyramidCSP, Transition, conv_bn_act, leaky_relu
from .anchors import COCO_P5, YOLOV7_P5
from .rows import RowList
from .table import HeadTable, Row, concat, row, upsample

_STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class _Widths:
    """Channels of one size.

    Attributes:
        stem: of the four first convolutions.
        stages: outputs of the four ELAN blocks of the backbone.
        hidden: of the ELAN blocks of the backbone.
        narrow: the chains in the neck have half of the hidden channels, and all of their outputs are joined.
        depth: convolutions in a chain.
        last: block in front of the head.
    """

    stem: tuple[int, int, int, int]
    stages: tuple[int, int, int, int]
    hidden: tuple[int, int, int, int]
    narrow: bool
    depth: int
    last: Callable[..., nn.Module]


def base() -> RowList:
    """YOLOv7."""
    return _build(_Widths((32, 64, 64, 128), (256, 512, 1024, 1024), (64, 128, 256, 256), True, 4, ReparamConv))


def x() -> RowList:
    """YOLOv7-X."""
    return _build(_Widths((40, 80, 80, 160), (320, 640, 1280, 1280), (64, 128, 256, 256), False, 6, conv_bn_act))


def _build(widths: _Widths) -> RowList:
    rows = RowList()

    def neck_block(channels: int, hidden: int) -> int:
        width, every = (hidden // 2, 1) if widths.narrow else (hidden, 2)
        options = {"hidden_channels": hidden, "width": width, "depth": widths.depth, "every": every}
        return rows.add(row(ELAN, channels, **options), widths.depth + 4)

    def up(channels: int, lateral: int, hidden: int) -> int:
        rows.add(row(conv_bn_act, channels))
        rows.add(upsample())
        rows.add(row(conv_bn_act, channels, source=lateral))
        rows.add(concat(-1, -2))
        return neck_block(channels, hidden)

    def down(channels: int, lateral: int, hidden: int) -> int:
        rows.add(row(Transition, channels), 4)
        rows.add(concat(-1, lateral))
        return neck_block(channels, hidden)

    for channels, stride in zip(widths.stem, (1, 2, 1, 2), strict=True):
        rows.add(row(conv_bn_act, channels, kernel_size=3, stride=stride))
    stages = []
    for index, (channels, hidden) in enumerate(zip(widths.stages, widths.hidden, strict=True)):
        if index:
            rows.add(row(Transition, widths.stages[index - 1]), 5)
        block = row(ELAN, channels, hidden_channels=hidden, depth=widths.depth)
        stages.append(rows.add(block, widths.depth + 4))

    coarse = widths.stages[3] // 2
    pyramid = rows.add(row(PyramidCSP, coarse))
    middle = up(coarse // 2, stages[2], 256)
    fine = up(coarse // 4, stages[1], 128)
    levels = [fine, down(coarse // 2, middle, 256)]
    levels.append(down(coarse, pyramid, 512))
    options = {} if widths.last is ReparamConv else {"kernel_size": 3}
    outputs = tuple(
        rows.add(row(widths.last, coarse // 2 * 2**index, source=level, **options))
        for index, level in enumerate(levels)
    )
    rows.head = HeadTable(AnchorBasedHead, outputs, _STRIDES, {"anchors": YOLOV7_P5, "implicit": True})
    return rows


def tiny() -> RowList:
    """YOLOv7-tiny, with leaky ReLU throughout."""
    rows = RowList()

    def conv(channels: int, *, kernel_size: int = 1, stride: int = 1, source: int = -1) -> Row:
        return row(conv_bn_act, channels, source=source, kernel_size=kernel_size, stride=stride, activation=leaky_relu)

    def block(channels: int) -> int:
        options: dict[str, Any] = {"hidden_channels": channels // 2, "depth": 2, "every": 1, "activation": leaky_relu}
        return rows.add(row(ELAN, channels, **options), 6)

    def up(channels: int, lateral: int) -> int:
        rows.add(conv(channels))
        rows.add(upsample())
        rows.add(conv(channels, source=lateral))
        rows.add(concat(-1, -2))
        return block(channels)

    def down(channels: int, lateral: int) -> int:
        rows.add(conv(channels, kernel_size=3, stride=2))
        rows.add(concat(-1, lateral))
        return block(channels)

    rows.add(conv(32, kernel_size=3, stride=2))
    rows.add(conv(64, kernel_size=3, stride=2))
    stages = [block(64)]
    for channels in (128, 256, 512):
        rows.add(row(nn.MaxPool2d, kernel_size=2, stride=2))
        stages.append(block(channels))
    pyramid = rows.add(row(TinyPyramidCSP, 256, activation=leaky_relu), 9)
    middle = up(128, stages[2])
    fine = up(64, stages[1])
    levels = [fine, down(128, middle)]
    levels.append(down(256, pyramid))
    outputs = tuple(
        rows.add(conv(channels, kernel_size=3, source=level))
        for channels, level in zip((128, 256, 512), levels, strict=True)
    )
    rows.head = HeadTable(AnchorBasedHead, outputs, _STRIDES, {"anchors": COCO_P5, "implicit": True})
    return rows
