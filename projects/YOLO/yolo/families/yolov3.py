"""YOLOv3: Darknet-53 with a top-down neck (optionally with spatial pyramid pooling), and the tiny network."""

from torch import nn

from ..heads import AnchorBasedHead
from ..layers import SPP, Bottleneck, BottleneckChain, conv_bn_act
from .anchors import COCO_P5, TINY
from .registry import register_family
from .table import Family, HeadTable, Layout, Row, Scale, concat, row, upsample
from .ultralytics_names import ultralytics_names


def _conv(channels: int, kernel_size: int = 3, stride: int = 1, source: int = -1) -> Row:
    return row(conv_bn_act, channels, source=source, kernel_size=kernel_size, stride=stride)


def _pool() -> Row:
    return row(nn.MaxPool2d, kernel_size=2, stride=2)


_DARKNET = (
    _conv(32),
    _conv(64, stride=2),
    row(Bottleneck, 64),
    _conv(128, stride=2),
    row(BottleneckChain, 128, 2),
    _conv(256, stride=2),
    row(BottleneckChain, 256, 8),
    _conv(512, stride=2),
    row(BottleneckChain, 512, 8),
    _conv(1024, stride=2),
    row(BottleneckChain, 1024, 4),
)


def _large(deepest: Row) -> Layout:
    rows = (
        *_DARKNET,
        row(Bottleneck, 1024, shortcut=False),
        deepest,
        _conv(1024),
        _conv(512, 1),
        _conv(1024),
        _conv(256, 1, source=-2),
        upsample(),
        concat(-1, 8),
        row(Bottleneck, 512, shortcut=False),
        row(Bottleneck, 512, shortcut=False),
        _conv(256, 1),
        _conv(512),
        _conv(128, 1, source=-2),
        upsample(),
        concat(-1, 6),
        row(Bottleneck, 256, shortcut=False),
        row(BottleneckChain, 256, 2, shortcut=False),
    )
    return Layout(rows, HeadTable(AnchorBasedHead, (27, 22, 15), (8, 16, 32), {"anchors": COCO_P5}))


_TINY_ROWS = (
    *(part for channels in (16, 32, 64, 128, 256) for part in (_conv(channels), _pool())),
    _conv(512),
    row(nn.ZeroPad2d, padding=(0, 1, 0, 1)),
    row(nn.MaxPool2d, kernel_size=2, stride=1),
    _conv(1024),
    _conv(256, 1),
    _conv(512),
    _conv(128, 1, source=-2),
    upsample(),
    concat(-1, 8),
    _conv(256),
)

_LAYOUTS = {
    "full": _large(_conv(512, 1)),
    "spp": _large(row(SPP, 512)),
    "tiny": Layout(_TINY_ROWS, HeadTable(AnchorBasedHead, (19, 15), (16, 32), {"anchors": TINY})),
}

YOLOV3 = register_family(
    Family(
        name="yolov3",
        scales={size: Scale() for size in _LAYOUTS},
        layout=_LAYOUTS.__getitem__,
        names=ultralytics_names,
    )
)
