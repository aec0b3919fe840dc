"""YOLO26: YOLO11 with deeper inner blocks, attention at the end of the neck, and a head without suppression or bins."""

from ..heads import EndToEndHead
from ..layers import C3k2
from .registry import register_family
from .table import Family, HeadTable, Layout, row
from .ultralytics_names import ultralytics_names
from .yolo11 import SCALES, c3k2_rows


def _layout(size: str) -> Layout:
    rows = c3k2_rows(
        size,
        neck="c3",
        last=row(C3k2, 1024, 1, inner="attention"),
        pyramid={"shortcut": True, "reduce_activation": False},
    )
    return Layout(rows, HeadTable(EndToEndHead, (16, 19, 22), (8, 16, 32), {"reg_max": 1}))


YOLO26 = register_family(Family(name="yolo26", scales=SCALES, layout=_layout, names=ultralytics_names))
