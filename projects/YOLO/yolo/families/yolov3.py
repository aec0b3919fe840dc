"""YOLOv3: Darknet-53 with a top-down neck (optionally with spatial pyramid pooling), and the tiny network."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..heads import AnchorBasedHead
from ..layers import SPP, Bottleneck, BottleneckChain, conv_bn_act, silu
from .anchors import COCO_P5, TINY
from .registry import register_family
from .table import Family, HeadTable, Layout, Row, Scale, concat, row, upsample
from .ultralytics_names import ultralytics_names

Activation = Callable[[], nn.Module]
SCALES: Mapping[str, Scale] = {size: Scale() for size in ("full", "spp", "tiny")}


def yolov3_layout(size: str, activation: Activation, pad: Callable[..., nn.Module], head: Mapping[str, Any]) -> Layout:
    """The rows and the head.

    Args:
        size: "full", "spp" or "tiny".
        activation: makes the activation of every convolution.
        pad: ``pad(padding=(left, right, top, bottom))`` in front of the last pooling of "tiny".
        head: further options of the head.
    """
    if size == "tiny":
        options = {"anchors": TINY, **head}
        return Layout(_tiny(activation, pad), HeadTable(AnchorBasedHead, (19, 15), (16, 32), options))
    options = {"anchors": COCO_P5, **head}
    return Layout(_large(activation, size == "spp"), HeadTable(AnchorBasedHead, (27, 22, 15), (8, 16, 32), options))


def _large(activation: Activation, pyramid: bool) -> tuple[Row, ...]:
    def conv(channels: int, kernel_size: int = 3, stride: int = 1, source: int = -1) -> Row:
        return row(conv_bn_act, channels, source=source, kernel_size=kernel_size, stride=stride, activation=activation)

    def block(channels: int, shortcut: bool = True) -> Row:
        return row(Bottleneck, channels, shortcut=shortcut, activation=activation)

    def chain(channels: int, repeats: int, shortcut: bool = True) -> Row:
        return row(BottleneckChain, channels, repeats, shortcut=shortcut, activation=activation)

    return (
        conv(32),
        conv(64, stride=2),
        block(64),
        conv(128, stride=2),
        chain(128, 2),
        conv(256, stride=2),
        chain(256, 8),
        conv(512, stride=2),
        chain(512, 8),
        conv(1024, stride=2),
        chain(1024, 4),
        block(1024, shortcut=False),
        row(SPP, 512, activation=activation) if pyramid else conv(512, 1),
        conv(1024),
        conv(512, 1),
        conv(1024),
        conv(256, 1, source=-2),
        upsample(),
        concat(-1, 8),
        block(512, shortcut=False),
        block(512, shortcut=False),
        conv(256, 1),
        conv(512),
        conv(128, 1, source=-2),
        upsample(),
        concat(-1, 6),
        block(256, shortcut=False),
        chain(256, 2, shortcut=False),
    )


def _tiny(activation: Activation, pad: Callable[..., nn.Module]) -> tuple[Row, ...]:
    def conv(channels: int, kernel_size: int = 3, source: int = -1) -> Row:
        return row(conv_bn_act, channels, source=source, kernel_size=kernel_size, activation=activation)

    def pool(stride: int) -> Row:
        return row(nn.MaxPool2d, kernel_size=2, stride=stride)

    return (
        *(part for channels in (16, 32, 64, 128, 256) for part in (conv(channels), pool(2))),
        conv(512),
        row(pad, padding=(0, 1, 0, 1)),
        pool(1),
        conv(1024),
        conv(256, 1),
        conv(512),
        conv(128, 1, source=-2),
        upsample(),
        concat(-1, 8),
        conv(256),
    )


def _layout(size: str) -> Layout:
    return yolov3_layout(size, silu, nn.ZeroPad2d, {})


YOLOV3 = register_family(Family(name="yolov3", scales=SCALES, layout=_layout, names=ultralytics_names))
