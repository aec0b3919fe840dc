"""YOLOv8: C2f blocks, a path aggregation neck, and an anchor-free head."""

from ..heads import AnchorFreeHead
from ..layers import SPPF, C2f, conv_bn_act
from .registry import register_family
from .table import Family, HeadTable, Layout, Scale, concat, row, upsample
from .ultralytics_names import ultralytics_names

_ROWS = (
    row(conv_bn_act, 64, kernel_size=3, stride=2),
    row(conv_bn_act, 128, kernel_size=3, stride=2),
    row(C2f, 128, 3, shortcut=True),
    row(conv_bn_act, 256, kernel_size=3, stride=2),
    row(C2f, 256, 6, shortcut=True),
    row(conv_bn_act, 512, kernel_size=3, stride=2),
    row(C2f, 512, 6, shortcut=True),
    row(conv_bn_act, 1024, kernel_size=3, stride=2),
    row(C2f, 1024, 3, shortcut=True),
    row(SPPF, 1024),
    upsample(),
    concat(-1, 6),
    row(C2f, 512, 3),
    upsample(),
    concat(-1, 4),
    row(C2f, 256, 3),
    row(conv_bn_act, 256, kernel_size=3, stride=2),
    concat(-1, 12),
    row(C2f, 512, 3),
    row(conv_bn_act, 512, kernel_size=3, stride=2),
    concat(-1, 9),
    row(C2f, 1024, 3),
)

_LAYOUT = Layout(_ROWS, HeadTable(AnchorFreeHead, sources=(15, 18, 21), strides=(8, 16, 32)))

YOLOV8 = register_family(
    Family(
        name="yolov8",
        scales={
            "n": Scale(0.33, 0.25, 1024),
            "s": Scale(0.33, 0.50, 1024),
            "m": Scale(0.67, 0.75, 768),
            "l": Scale(1.00, 1.00, 512),
            "x": Scale(1.00, 1.25, 512),
        },
        layout=lambda size: _LAYOUT,
        names=ultralytics_names,
    )
)
