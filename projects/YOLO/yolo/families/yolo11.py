"""YOLO11: C3k2 blocks, attention behind the backbone, and an anchor-free head."""

from collections.abc import Mapping
from typing import Any

from ..heads import AnchorFreeHead, BranchStyle
from ..layers import C2PSA, SPPF, C3k2, conv_bn_act
from ..layers.c3k2 import Inner
from .registry import register_family
from .table import Family, HeadTable, Layout, Row, Scale, concat, row, upsample
from .ultralytics_names import ultralytics_names

SCALES: Mapping[str, Scale] = {
    "n": Scale(0.50, 0.25, 1024),
    "s": Scale(0.50, 0.50, 1024),
    "m": Scale(0.50, 1.00, 512),
    "l": Scale(1.00, 1.00, 512),
    "x": Scale(1.00, 1.50, 512),
}
_LARGE = ("m", "l", "x")
_STYLE = BranchStyle(separable_classes=True)


def shallow_inner(size: str) -> Inner:
    """The inner block where small sizes have bottlenecks and large ones have C3."""
    return "c3" if size in _LARGE else "bottleneck"


def down(channels: int) -> Row:
    """A row that halves height and width."""
    return row(conv_bn_act, channels, kernel_size=3, stride=2)


def c3k2_rows(
    size: str, *, neck: Inner | None = None, last: Row | None = None, pyramid: Mapping[str, Any] | None = None
) -> tuple[Row, ...]:
    """Backbone and neck; the head reads the rows 16, 19 and 22.

    Args:
        size: "n", "s", "m", "l" or "x".
        neck: inner block of the neck; None for that of the shallow stages.
        last: the last row; None for a stage of C3 blocks.
        pyramid: further options of the pooling.
    """
    inner = shallow_inner(size)
    neck = neck or inner
    return (
        down(64),
        down(128),
        row(C3k2, 256, 2, inner=inner, expansion=0.25),
        down(256),
        row(C3k2, 512, 2, inner=inner, expansion=0.25),
        down(512),
        row(C3k2, 512, 2, inner="c3"),
        down(1024),
        row(C3k2, 1024, 2, inner="c3"),
        row(SPPF, 1024, **(pyramid or {})),
        row(C2PSA, 1024, 2),
        upsample(),
        concat(-1, 6),
        row(C3k2, 512, 2, inner=neck),
        upsample(),
        concat(-1, 4),
        row(C3k2, 256, 2, inner=neck),
        down(256),
        concat(-1, 13),
        row(C3k2, 512, 2, inner=neck),
        down(512),
        concat(-1, 10),
        last or row(C3k2, 1024, 2, inner="c3"),
    )


def _layout(size: str) -> Layout:
    return Layout(c3k2_rows(size), HeadTable(AnchorFreeHead, (16, 19, 22), (8, 16, 32), {"style": _STYLE}))


YOLO11 = register_family(Family(name="yolo11", scales=SCALES, layout=_layout, names=ultralytics_names))
