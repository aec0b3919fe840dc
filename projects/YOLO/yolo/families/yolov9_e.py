"""Size e of YOLOv9 and GELAN: two backbones in a row, the second fed with shares of the first."""

from collections.abc import Callable

from torch import nn

from ..layers import GELAN, SPPF, ADown, SideConv, SideFuse, conv_bn_act
from .table import HeadTable, Layout, Row, concat, row, upsample

# Channels of the maps that the second backbone receives shares for, from the finest to the coarsest.
_SHARES = (64, 128, 256, 512, 1024)
_DEPTH = 2


def _block(out_channels: int, hidden_channels: int) -> Row:
    return row(GELAN, out_channels, hidden_channels=hidden_channels, depth=_DEPTH)


def _conv(channels: int, source: int = -1) -> Row:
    return row(conv_bn_act, channels, source=source, kernel_size=3, stride=2)


def _fuse(level: int) -> Row:
    """Shares of this level and of the coarser ones; those come from rows 10 to 14."""
    sides = tuple(range(10 + level, 15))
    offset = sum(_SHARES[:level])
    return row(SideFuse, _SHARES[level], source=(*sides, -1), offsets=(offset,) * len(sides))


_BACKBONES = (
    row(nn.Identity),
    _conv(64),
    _conv(128),
    _block(256, 128),
    row(ADown, 256),
    _block(512, 256),
    row(ADown, 512),
    _block(1024, 512),
    row(ADown, 1024),
    _block(1024, 512),
    *(row(SideConv, sum(_SHARES[: level + 1]), source=source) for level, source in enumerate((1, 3, 5, 7, 9))),
    _conv(64, source=0),
    _fuse(0),
    _conv(128),
    _fuse(1),
    _block(256, 128),
    row(ADown, 256),
    _fuse(2),
    _block(512, 256),
    row(ADown, 512),
    _fuse(3),
    _block(1024, 512),
    row(ADown, 1024),
    _fuse(4),
    _block(1024, 512),
)


def _top_down(coarse: int, middle: int, fine: int) -> tuple[Row, ...]:
    return (
        row(SPPF, 512, source=coarse, hidden_channels=256),
        upsample(),
        concat(-1, middle),
        _block(512, 512),
        upsample(),
        concat(-1, fine),
        _block(256, 256),
    )


def _bottom_up(coarse: int, middle: int) -> tuple[Row, ...]:
    return (
        row(ADown, 256),
        concat(-1, middle),
        _block(512, 512),
        row(ADown, 512),
        concat(-1, coarse),
        _block(512, 1024),
    )


def gelan_e_layout(head: Callable[..., HeadTable]) -> Layout:
    """The network without auxiliary predictions; ``head`` makes the head from the rows that it reads."""
    return Layout((*_BACKBONES, *_top_down(28, 25, 22), *_bottom_up(29, 32)), head(35, 38, 41))


def yolov9_e_layout(head: Callable[..., HeadTable]) -> Layout:
    """The network with a second neck on the first backbone for auxiliary predictions."""
    rows = (*_BACKBONES, *_top_down(9, 7, 5), *_top_down(28, 25, 22), *_bottom_up(36, 39))
    return Layout(rows, head(42, 45, 48, 35, 32, 29))
