"""YOLOv10: decoupled downsampling, compact inverted blocks, partial attention, and a head without suppression."""

from collections.abc import Mapping

from ..heads import EndToEndHead
from ..layers import C2PSA, SPPF, C2f, C2fCIB, SCDown, conv_bn_act
from .names import SourceNames
from .registry import register_family
from .table import Family, HeadTable, Layout, Row, Scale, concat, row, upsample
from .ultralytics_names import CHILDREN

_SCALES = {
    "n": Scale(0.33, 0.25, 1024),
    "s": Scale(0.33, 0.50, 1024),
    "m": Scale(0.67, 0.75, 768),
    "b": Scale(0.67, 1.00, 512),
    "l": Scale(1.00, 1.00, 512),
    "x": Scale(1.00, 1.25, 512),
}

# Rows made of compact inverted blocks, for each size (table of the paper's rank-guided design).
_COMPACT: Mapping[str, tuple[int, ...]] = {
    "n": (22,),
    "s": (8, 22),
    "m": (8, 19, 22),
    "b": (8, 13, 19, 22),
    "l": (8, 13, 19, 22),
    "x": (6, 8, 13, 19, 22),
}
_LARGE_KERNEL = ("n", "s")

_NAMES = SourceNames(
    prefix=lambda index: f"model.{index}",
    children={
        **CHILDREN,
        C2PSA: {"expand": "cv1", "merge": "cv2", "blocks.0": ""},
    },
)


def _layout(size: str) -> Layout:
    def stage(index: int, channels: int, repeats: int, shortcut: bool = False) -> Row:
        if index in _COMPACT[size]:
            return row(C2fCIB, channels, repeats, large_kernel=size in _LARGE_KERNEL)
        return row(C2f, channels, repeats, shortcut=shortcut)

    rows = (
        row(conv_bn_act, 64, kernel_size=3, stride=2),
        row(conv_bn_act, 128, kernel_size=3, stride=2),
        stage(2, 128, 3, True),
        row(conv_bn_act, 256, kernel_size=3, stride=2),
        stage(4, 256, 6, True),
        row(SCDown, 512),
        stage(6, 512, 6, True),
        row(SCDown, 1024),
        stage(8, 1024, 3, True),
        row(SPPF, 1024),
        row(C2PSA, 1024),
        upsample(),
        concat(-1, 6),
        stage(13, 512, 3),
        upsample(),
        concat(-1, 4),
        stage(16, 256, 3),
        row(conv_bn_act, 256, kernel_size=3, stride=2),
        concat(-1, 13),
        stage(19, 512, 3),
        row(SCDown, 512),
        concat(-1, 10),
        stage(22, 1024, 3),
    )
    return Layout(rows, HeadTable(EndToEndHead, sources=(16, 19, 22), strides=(8, 16, 32)))


YOLOV10 = register_family(Family(name="yolov10", scales=_SCALES, layout=_layout, names=lambda size: _NAMES))
