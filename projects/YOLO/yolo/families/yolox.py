"""YOLOX: CSP-Darknet with a focus stem, a path aggregation neck, and a decoupled head with an objectness."""

from ..heads import YOLOXHead
from ..layers import C3, SPP, Bottleneck, Focus, SeparableConv, conv_bn_act
from .names import SourceNames
from .registry import register_family
from .table import Family, HeadTable, Layout, Row, Scale, concat, row, upsample

_SCALES = {
    "nano": Scale(0.33, 0.25),
    "tiny": Scale(0.33, 0.375),
    "s": Scale(0.33, 0.50),
    "m": Scale(0.67, 0.75),
    "l": Scale(1.00, 1.00),
    "x": Scale(1.33, 1.25),
}
_SEPARABLE = ("nano",)

_PREFIXES = (
    "backbone.backbone.stem",
    *(f"backbone.backbone.dark{stage}.{part}" for stage in (2, 3, 4) for part in (0, 1)),
    *(f"backbone.backbone.dark5.{part}" for part in (0, 1, 2)),
    "backbone.lateral_conv0",
    "",
    "",
    "backbone.C3_p4",
    "backbone.reduce_conv1",
    "",
    "",
    "backbone.C3_p3",
    "backbone.bu_conv2",
    "",
    "backbone.C3_n3",
    "backbone.bu_conv1",
    "",
    "backbone.C3_n4",
    "head",
)

_NAMES = SourceNames(
    prefix=_PREFIXES.__getitem__,
    children={
        SeparableConv: {"depthwise": "dconv", "pointwise": "pconv"},
        Bottleneck: {"first": "conv1", "second": "conv2"},
        C3: {"main": "conv1", "side": "conv2", "merge": "conv3", "blocks": "m"},
        SPP: {"reduce": "conv1", "merge": "conv2"},
        YOLOXHead: {
            "class_branches": "cls_convs",
            "box_branches": "reg_convs",
            "class_predictors": "cls_preds",
            "box_predictors": "reg_preds",
            "objectness_predictors": "obj_preds",
        },
    },
)


def _layout(size: str) -> Layout:
    separable = size in _SEPARABLE

    def down(channels: int) -> Row:
        return row(SeparableConv if separable else conv_bn_act, channels, kernel_size=3, stride=2)

    def stage(channels: int, repeats: int, shortcut: bool) -> Row:
        return row(C3, channels, repeats, shortcut=shortcut, depthwise=separable)

    rows = (
        row(Focus, 64),
        down(128),
        stage(128, 3, True),
        down(256),
        stage(256, 9, True),
        down(512),
        stage(512, 9, True),
        down(1024),
        row(SPP, 1024),
        stage(1024, 3, False),
        row(conv_bn_act, 512),
        upsample(),
        concat(-1, 6),
        stage(512, 3, False),
        row(conv_bn_act, 256),
        upsample(),
        concat(-1, 4),
        stage(256, 3, False),
        down(256),
        concat(-1, 14),
        stage(512, 3, False),
        down(512),
        concat(-1, 10),
        stage(1024, 3, False),
    )
    options = {"hidden_channels": _SCALES[size].channels(256), "depthwise": separable}
    return Layout(rows, HeadTable(YOLOXHead, sources=(17, 20, 23), strides=(8, 16, 32), options=options))


YOLOX = register_family(Family(name="yolox", scales=_SCALES, layout=_layout, names=lambda size: _NAMES))
