"""YOLOv7 with four levels and auxiliary heads: the sizes w6, e6, d6 and e6e."""

from dataclasses import dataclass

from ..heads import AnchorBasedHead
from ..layers import ELAN, Focus, PyramidCSP, Sum, WideTransition, conv_bn_act
from .anchors import COCO_P6
from .rows import RowList
from .table import HeadTable, Row, concat, row, upsample

_HIDDEN = (64, 128, 256, 384, 512)


@dataclass(frozen=True)
class _Widths:
    """Channels of one size.

    Attributes:
        stem: of the first convolution.
        stages: outputs of the five stages of the backbone; the neck has half of them.
        depth: convolutions in the chain of an ELAN block.
        auxiliary: in front of the auxiliary heads.
        plain_down: a convolution halves height and width, and no pooling beside it.
        twin: two ELAN blocks side by side, added, in place of one.
    """

    stem: int
    stages: tuple[int, int, int, int, int]
    depth: int
    auxiliary: tuple[int, int, int, int]
    plain_down: bool = False
    twin: bool = False


def w6() -> RowList:
    """YOLOv7-W6."""
    return _Builder(_Widths(64, (128, 256, 512, 768, 1024), 4, (320, 640, 960, 1280), plain_down=True)).build()


def e6() -> RowList:
    """YOLOv7-E6."""
    return _Builder(_Widths(80, (160, 320, 640, 960, 1280), 6, (320, 640, 960, 1280))).build()


def d6() -> RowList:
    """YOLOv7-D6."""
    return _Builder(_Widths(96, (192, 384, 768, 1152, 1536), 8, (384, 768, 1152, 1536))).build()


def e6e() -> RowList:
    """YOLOv7-E6E."""
    return _Builder(_Widths(80, (160, 320, 640, 960, 1280), 6, (320, 640, 960, 1280), twin=True)).build()


class _Builder:
    """Writes the table; methods return the index of the row with their output."""

    def __init__(self, widths: _Widths) -> None:
        self.widths = widths
        self.rows = RowList()

    def build(self) -> RowList:
        """The whole table."""
        widths, rows = self.widths, self.rows
        rows.add(row(Focus, widths.stem), 2)
        stages = []
        for channels, hidden in zip(widths.stages, _HIDDEN, strict=True):
            rows.add(self._down(channels))
            stages.append(self._block(channels, hidden, hidden, every=2)[0])

        pyramid = rows.add(row(PyramidCSP, widths.stages[4] // 2))
        # For each level from the coarsest: the row that the way back down reads, and the one for the auxiliary head.
        ways_up = [(pyramid, pyramid)]
        for level in (3, 2, 1):
            ways_up.append(self._up(level, stages[level]))
        levels = [ways_up[-1][0]]
        for level, (lateral, _) in zip((2, 3, 4), ways_up[-2::-1], strict=True):
            channels = widths.stages[level] // 2
            rows.add(self._down(channels))
            rows.add(concat(-1, lateral))
            levels.append(self._neck_block(channels, _HIDDEN[level])[0])

        main = [self._output(width, source) for width, source in zip(widths.stages[1:], levels, strict=True)]
        sources = [source for _, source in reversed(ways_up)]
        auxiliary = [self._output(width, source) for width, source in zip(widths.auxiliary, sources, strict=True)]
        options = {"anchors": COCO_P6, "implicit": True}
        rows.head = HeadTable(AnchorBasedHead, (*main, *auxiliary), (8, 16, 32, 64), options)
        return rows

    def _down(self, channels: int) -> Row:
        if self.widths.plain_down:
            return row(conv_bn_act, channels, kernel_size=3, stride=2)
        return row(WideTransition, channels)

    def _up(self, level: int, lateral: int) -> tuple[int, int]:
        channels = self.widths.stages[level] // 2
        self.rows.add(row(conv_bn_act, channels))
        self.rows.add(upsample())
        self.rows.add(row(conv_bn_act, channels, source=lateral))
        self.rows.add(concat(-1, -2))
        return self._neck_block(channels, _HIDDEN[level])

    def _neck_block(self, channels: int, hidden: int) -> tuple[int, int]:
        return self._block(channels, hidden, hidden // 2, every=1)

    def _block(self, channels: int, hidden: int, width: int, every: int) -> tuple[int, int]:
        """The row with the output, and the last ELAN block in front of it, which auxiliary heads read."""
        depth = self.widths.depth
        options = {"hidden_channels": hidden, "width": width, "depth": depth, "every": every}
        last = self.rows.add(row(ELAN, channels, **options), depth + 4)
        if not self.widths.twin:
            return last, last
        last = self.rows.add(row(ELAN, channels, source=-2, **options), depth + 4)
        return self.rows.add(row(Sum, channels, source=(-1, -2))), last

    def _output(self, channels: int, source: int) -> int:
        return self.rows.add(row(conv_bn_act, channels, source=source, kernel_size=3))
