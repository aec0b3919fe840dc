"""What a family of networks is written in: rows of blocks, a head, and a scale for each size."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..heads.base import DetectionHead
from ..layers import Concat
from .names import SourceNames


@dataclass(frozen=True)
class Scale:
    """Depth and width of one size of a family.

    Attributes:
        depth: factor of the number of repeats of a block.
        width: factor of the number of channels.
        max_channels: channels of a row before ``width`` applies are cut to this; None for no limit.
    """

    depth: float = 1.0
    width: float = 1.0
    max_channels: int | None = None

    def __post_init__(self) -> None:
        if self.depth <= 0 or self.width <= 0:
            raise ValueError(f"depth and width must be positive, not {self.depth} and {self.width}")

    def channels(self, channels: int) -> int:
        """Channels at this size: cut, scaled, and rounded up to a multiple of 8."""
        limited = channels if self.max_channels is None else min(channels, self.max_channels)
        return math.ceil(limited * self.width / 8) * 8

    def repeats(self, repeats: int) -> int:
        """Repeats at this size, 1 or more; a block that stands once stays so."""
        return max(round(repeats * self.depth), 1) if repeats > 1 else repeats


@dataclass(frozen=True)
class Row:
    """One block of a network.

    Attributes:
        block: called as ``block(in_channels, channels, repeats=..., **options)``; ``repeats`` only if it is given,
            the channels only if ``channels`` is given.
        channels: of the output before scaling; None for a block that computes none of its own: its output has the
            channels of all its inputs together.
        repeats: of the inner block before scaling; None for a block that knows no repeats.
        sources: indices of the rows that it reads, negative ones relative to its own; -1 is the row before.
        options: further keywords of the block.
    """

    block: Callable[..., nn.Module]
    channels: int | None = None
    repeats: int | None = None
    sources: tuple[int, ...] = (-1,)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HeadTable:
    """The head of a network.

    Attributes:
        head: called as ``head(channels, num_classes, strides, **options)``.
        sources: indices of the rows that it reads.
        strides: input pixels per cell, for each level.
        options: further keywords of the head.
    """

    head: Callable[..., DetectionHead]
    sources: tuple[int, ...]
    strides: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """The rows and the head of one size of a family."""

    rows: tuple[Row, ...]
    head: HeadTable


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
        name: as :func:`build_network` knows it.
        scales: the sizes.
        layout: gives the rows and the head of a size.
        names: how published checkpoints of the family name their tensors; a function of the size.
    """

    name: str
    scales: Mapping[str, Scale]
    layout: Callable[[str], Layout]
    names: Callable[[str], SourceNames]


def row(
    block: Callable[..., nn.Module],
    channels: int | None = None,
    repeats: int | None = None,
    *,
    source: int | tuple[int, ...] = -1,
    **options: Any,
) -> Row:
    """A :class:`Row`, with the options of the block as keywords."""
    return Row(block, channels, repeats, (source,) if isinstance(source, int) else source, options)


def upsample(source: int = -1) -> Row:
    """A row that doubles height and width by repeating pixels."""
    return row(nn.Upsample, source=source, scale_factor=2.0, mode="nearest")


def concat(*sources: int) -> Row:
    """A row that joins the channels of others."""
    return row(Concat, source=sources)
