"""YOLOv9 and, without its auxiliary branch, GELAN: sizes t, s, m, c."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from ..heads import AnchorFreeHead, BranchStyle
from ..layers import GELAN, SPPF, AConv, ADown, SideConv, SideFuse, conv_bn_act
from .registry import register_family
from .table import Family, HeadTable, Layout, Row, Scale, concat, row, upsample
from .yolov9_e import gelan_e_layout, yolov9_e_layout
from .yolov9_names import gelan_names, yolov9_names

STYLE = BranchStyle(box_groups=4, class_width=lambda channels, classes: max(channels, min(2 * classes, 128)))
Block = tuple[int, int]


@dataclass(frozen=True)
class _Widths:
    """Channels of one size; a block is given by its output and hidden channels.

    Attributes:
        stem: of the two first convolutions.
        stages: of the four blocks of the backbone.
        downs: of the convolutions in front of all stages but the first.
        fine, middle, coarse: of the blocks of the neck.
        neck_downs: of the convolutions on the way back down.
        depth: bottlenecks in a block.
        plain_start: the first block has no bottlenecks.
        down: the block that halves height and width.
        backbone_copy: the auxiliary branch is a second backbone, not a second neck.
    """

    stem: tuple[int, int]
    stages: tuple[Block, Block, Block, Block]
    downs: tuple[int, int, int]
    fine: Block
    middle: Block
    coarse: Block
    neck_downs: tuple[int, int]
    depth: int
    plain_start: bool
    down: Callable[..., nn.Module]
    backbone_copy: bool


def _small(unit: int) -> _Widths:
    fine, middle, coarse = (4 * unit, 4 * unit), (6 * unit, 6 * unit), (8 * unit, 8 * unit)
    return _Widths(
        stem=(unit, 2 * unit),
        stages=((2 * unit, 2 * unit), fine, middle, coarse),
        downs=(4 * unit, 6 * unit, 8 * unit),
        fine=fine,
        middle=middle,
        coarse=coarse,
        neck_downs=(3 * unit, 4 * unit),
        depth=3,
        plain_start=True,
        down=AConv,
        backbone_copy=False,
    )


_WIDTHS: Mapping[str, _Widths] = {
    "t": _small(16),
    "s": _small(32),
    "m": _Widths(
        stem=(32, 64),
        stages=((128, 128), (240, 240), (360, 360), (480, 480)),
        downs=(240, 360, 480),
        fine=(240, 240),
        middle=(360, 360),
        coarse=(480, 480),
        neck_downs=(184, 240),
        depth=1,
        plain_start=False,
        down=AConv,
        backbone_copy=True,
    ),
    "c": _Widths(
        stem=(64, 128),
        stages=((256, 128), (512, 256), (512, 512), (512, 512)),
        downs=(256, 512, 512),
        fine=(256, 256),
        middle=(512, 512),
        coarse=(512, 512),
        neck_downs=(256, 512),
        depth=1,
        plain_start=False,
        down=ADown,
        backbone_copy=True,
    ),
}


def _block(widths: _Widths, block: Block, plain: bool = False) -> Row:
    return row(GELAN, block[0], hidden_channels=block[1], depth=None if plain else widths.depth)


def _stem(widths: _Widths, source: int = -1) -> tuple[Row, ...]:
    return (
        row(conv_bn_act, widths.stem[0], source=source, kernel_size=3, stride=2),
        row(conv_bn_act, widths.stem[1], kernel_size=3, stride=2),
        _block(widths, widths.stages[0], widths.plain_start),
    )


def _main(widths: _Widths, start: int) -> tuple[Row, ...]:
    """The rows of GELAN; the first of them has the index ``start``."""
    coarse = widths.coarse[0]
    deeper = zip(widths.downs, widths.stages[1:], strict=True)
    return (
        *_stem(widths),
        *(part for down, stage in deeper for part in (row(widths.down, down), _block(widths, stage))),
        row(SPPF, coarse, hidden_channels=coarse // 2),
        upsample(),
        concat(-1, start + 6),
        _block(widths, widths.middle),
        upsample(),
        concat(-1, start + 4),
        _block(widths, widths.fine),
        row(widths.down, widths.neck_downs[0]),
        concat(-1, start + 12),
        _block(widths, widths.middle),
        row(widths.down, widths.neck_downs[1]),
        concat(-1, start + 9),
        _block(widths, widths.coarse),
    )


def _second_neck(widths: _Widths) -> tuple[Row, ...]:
    coarse = widths.coarse[0]
    return (
        row(SPPF, coarse, source=8, hidden_channels=coarse // 2),
        upsample(),
        concat(-1, 6),
        _block(widths, widths.middle),
        upsample(),
        concat(-1, 4),
        _block(widths, widths.fine),
    )


def _second_backbone(widths: _Widths) -> tuple[Row, ...]:
    """A backbone that receives shares of the deepest maps of the first; rows from 23 on, the image is row 0."""
    fine, middle, coarse = widths.downs
    return (
        row(SideConv, fine, source=5),
        row(SideConv, fine + middle, source=7),
        row(SideConv, fine + middle + coarse, source=9),
        *_stem(widths, source=0),
        row(widths.down, fine),
        row(SideFuse, fine, source=(23, 24, 25, -1), offsets=(0, 0, 0)),
        _block(widths, widths.stages[1]),
        row(widths.down, middle),
        row(SideFuse, middle, source=(24, 25, -1), offsets=(fine, fine)),
        _block(widths, widths.stages[2]),
        row(widths.down, coarse),
        row(SideFuse, coarse, source=(25, -1), offsets=(fine + middle,)),
        _block(widths, widths.stages[3]),
    )


def _head(*sources: int) -> HeadTable:
    return HeadTable(AnchorFreeHead, sources, strides=(8, 16, 32), options={"style": STYLE})


def _gelan(size: str) -> Layout:
    if size == "e":
        return gelan_e_layout(_head)
    return Layout(_main(_WIDTHS[size], 0), _head(15, 18, 21))


def _yolov9(size: str) -> Layout:
    if size == "e":
        return yolov9_e_layout(_head)
    widths = _WIDTHS[size]
    if not widths.backbone_copy:
        return Layout((*_main(widths, 0), *_second_neck(widths)), _head(15, 18, 21, 28, 25, 22))
    rows = (row(nn.Identity), *_main(widths, 1), *_second_backbone(widths))
    return Layout(rows, _head(16, 19, 22, 31, 34, 37))


_SCALES = {size: Scale() for size in (*_WIDTHS, "e")}
GELAN_FAMILY = register_family(Family(name="gelan", scales=_SCALES, layout=_gelan, names=gelan_names))
YOLOV9 = register_family(Family(name="yolov9", scales=_SCALES, layout=_yolov9, names=yolov9_names))
