"""YOLOv5, version 6: C3 blocks, a path aggregation neck, and anchors on three or (sizes ending in 6) four levels."""

from ..heads import AnchorBasedHead
from ..layers import C3, SPPF, conv_bn_act
from .anchors import COCO_P5, COCO_P6
from .registry import register_family
from .table import Family, HeadTable, Layout, Row, Scale, concat, row, upsample
from .ultralytics_names import ultralytics_names

_BASE = {
    "n": Scale(0.33, 0.25),
    "s": Scale(0.33, 0.50),
    "m": Scale(0.67, 0.75),
    "l": Scale(1.00, 1.00),
    "x": Scale(1.33, 1.25),
}


def _down(channels: int) -> Row:
    return row(conv_bn_act, channels, kernel_size=3, stride=2)


def _neck(channels: int) -> Row:
    return row(C3, channels, 3, shortcut=False)


_STEM = (
    row(conv_bn_act, 64, kernel_size=6, stride=2, padding=2),
    _down(128),
    row(C3, 128, 3),
    _down(256),
    row(C3, 256, 6),
    _down(512),
    row(C3, 512, 9),
)

P5_ROWS = (
    *_STEM,
    _down(1024),
    row(C3, 1024, 3),
    row(SPPF, 1024),
    row(conv_bn_act, 512),
    upsample(),
    concat(-1, 6),
    _neck(512),
    row(conv_bn_act, 256),
    upsample(),
    concat(-1, 4),
    _neck(256),
    _down(256),
    concat(-1, 14),
    _neck(512),
    _down(512),
    concat(-1, 10),
    _neck(1024),
)

_P6_ROWS = (
    *_STEM,
    _down(768),
    row(C3, 768, 3),
    _down(1024),
    row(C3, 1024, 3),
    row(SPPF, 1024),
    row(conv_bn_act, 768),
    upsample(),
    concat(-1, 8),
    _neck(768),
    row(conv_bn_act, 512),
    upsample(),
    concat(-1, 6),
    _neck(512),
    row(conv_bn_act, 256),
    upsample(),
    concat(-1, 4),
    _neck(256),
    _down(256),
    concat(-1, 20),
    _neck(512),
    _down(512),
    concat(-1, 16),
    _neck(768),
    _down(768),
    concat(-1, 12),
    _neck(1024),
)

_P5 = Layout(P5_ROWS, HeadTable(AnchorBasedHead, (17, 20, 23), (8, 16, 32), {"anchors": COCO_P5}))
_P6 = Layout(_P6_ROWS, HeadTable(AnchorBasedHead, (23, 26, 29, 32), (8, 16, 32, 64), {"anchors": COCO_P6}))

YOLOV5 = register_family(
    Family(
        name="yolov5",
        scales={**_BASE, **{f"{size}6": scale for size, scale in _BASE.items()}},
        layout=lambda size: _P6 if size.endswith("6") else _P5,
        names=ultralytics_names,
    )
)
