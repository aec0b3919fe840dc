"""YOLO11: C3k2 blocks, attention behind the backbone, and an anchor-free head."""

from collections.abc import Mapping

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


def _layout(size: str) -> Layout:
    inner = shallow_inner(size)
    rows = (
        down(64),
        down(128),
        row(C3k2, 256, 2, inner=inner, expansion=0.25),
        down(256),
        row(C3k2, 512, 2, inner=inner, expansion=0.25),
        down(512),
        row(C3k2, 512, 2, inner="c3"),
        down(1024),
        row(C3k2, 1024, 2, inner="c3"),
        row(SPPF, 1024),
        row(C2PSA, 1024, 2),
        upsample(),
        concat(-1, 6),
        row(C3k2, 512, 2, inner=inner),
        upsample(),
        concat(-1, 4),
        row(C3k2, 256, 2, inner=inner),
        down(256),
        concat(-1, 13),
        row(C3k2, 512, 2, inner=inner),
        down(512),
        concat(-1, 10),
        row(C3k2, 1024, 2, inner="c3"),
    )
    return Layout(rows, HeadTable(AnchorFreeHead, (16, 19, 22), (8, 16, 32), {"style": _STYLE}))


YOLO11 = register_family(Family(name="yolo11", scales=SCALES, layout=_layout, names=ultralytics_names))
