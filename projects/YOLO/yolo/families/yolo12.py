"""YOLO12: area attention in the two deepest stages, residual ELAN blocks in the neck, and an anchor-free head."""

from typing import Any

from ..heads import AnchorFreeHead, BranchStyle
from ..layers import C3k2, ResidualELAN
from .registry import register_family
from .table import Family, HeadTable, Layout, concat, row, upsample
from .ultralytics_names import ultralytics_names
from .yolo11 import SCALES, down, shallow_inner

_RESIDUAL = ("l", "x")
_STYLE = BranchStyle(separable_classes=True)


def _layout(size: str) -> Layout:
    inner = shallow_inner(size)
    deep: dict[str, Any] = {"residual": True, "perceptron_ratio": 1.2} if size in _RESIDUAL else {}
    rows = (
        down(64),
        down(128),
        row(C3k2, 256, 2, inner=inner, expansion=0.25),
        down(256),
        row(C3k2, 512, 2, inner=inner, expansion=0.25),
        down(512),
        row(ResidualELAN, 512, 4, areas=4, **deep),
        down(1024),
        row(ResidualELAN, 1024, 4, areas=1, **deep),
        upsample(),
        concat(-1, 6),
        row(ResidualELAN, 512, 2),
        upsample(),
        concat(-1, 4),
        row(ResidualELAN, 256, 2),
        down(256),
        concat(-1, 11),
        row(ResidualELAN, 512, 2),
        down(512),
        concat(-1, 8),
        row(C3k2, 1024, 2, inner="c3"),
    )
    return Layout(rows, HeadTable(AnchorFreeHead, (14, 17, 20), (8, 16, 32), {"style": _STYLE}))


YOLO12 = register_family(Family(name="yolo12", scales=SCALES, layout=_layout, names=ultralytics_names))
