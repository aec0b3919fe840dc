"""YOLO26: YOLO11 with deeper inner blocks, attention at the end of the neck, and a head without suppression or bins."""

from ..heads import EndToEndHead
from ..layers import C2PSA, SPPF, C3k2
from .registry import register_family
from .table import Family, HeadTable, Layout, concat, row, upsample
from .ultralytics_names import ultralytics_names
from .yolo11 import SCALES, down, shallow_inner


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
        row(SPPF, 1024, shortcut=True, reduce_activation=False),
        row(C2PSA, 1024, 2),
        upsample(),
        concat(-1, 6),
        row(C3k2, 512, 2, inner="c3"),
        upsample(),
        concat(-1, 4),
        row(C3k2, 256, 2, inner="c3"),
        down(256),
        concat(-1, 13),
        row(C3k2, 512, 2, inner="c3"),
        down(512),
        concat(-1, 10),
        row(C3k2, 1024, 1, inner="attention"),
    )
    return Layout(rows, HeadTable(EndToEndHead, (16, 19, 22), (8, 16, 32), {"reg_max": 1}))


YOLO26 = register_family(Family(name="yolo26", scales=SCALES, layout=_layout, names=ultralytics_names))
