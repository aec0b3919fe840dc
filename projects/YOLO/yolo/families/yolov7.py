"""YOLOv7: ELAN blocks, a path aggregation neck and anchors; the large sizes have four levels and auxiliary heads."""

from collections.abc import Callable, Mapping

from .names import SourceNames
from .registry import register_family
from .rows import RowList
from .table import Family, Layout, Scale
from .yolov7_names import yolov7_names
from .yolov7_p5 import base, tiny, x
from .yolov7_p6 import d6, e6, e6e, w6

_SIZES: Mapping[str, Callable[[], RowList]] = {
    "tiny": tiny,
    "base": base,
    "x": x,
    "w6": w6,
    "e6": e6,
    "d6": d6,
    "e6e": e6e,
}


def _layout(size: str) -> Layout:
    return _SIZES[size]().layout()


def _names(size: str) -> SourceNames:
    return yolov7_names(_SIZES[size]().first_rows())


YOLOV7 = register_family(Family(name="yolov7", scales={size: Scale() for size in _SIZES}, layout=_layout, names=_names))
