"""The contract between quantizers and everything that handles integers: which levels a tensor can take."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

# Types of codes in the order of preference, with their lowest and highest value.
CODE_TYPES = {
    torch.int8: (-128, 127),
    torch.uint8: (0, 255),
    torch.int16: (-(2**15), 2**15 - 1),
    torch.uint16: (0, 2**16 - 1),
}


class Grid(ABC):
    """The levels of a quantized tensor and the integer code of each.

    A grid is a copy: it stays as it is when the quantizer that made it learns on.

    Attributes:
        bits: width of a code's meaning; a code may need a wider type.
        axis: dimension along which levels differ; None: one set of levels for the whole tensor.
        scale: value of a code's unit, float32 ``Tensor[]`` or ``Tensor[G]``; None where there is no such thing.
        zero_point: the code of zero, int32 in the shape of ``scale``; None where ``scale`` is.
        index_stride, index_offset: ``code = index_stride * index + index_offset`` for an index in [0, 2 ** bits).
    """

    bits: int
    axis: int | None
    scale: Tensor | None = None
    zero_point: Tensor | None = None
    index_stride: int = 1
    index_offset: int = 0

    @property
    @abstractmethod
    def code_range(self) -> tuple[int, int]:
        """Lowest and highest code."""

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """int32 codes of the nearest levels, in the shape of ``x``.

        Raises:
            FloatingPointError: ``x`` holds NaN, which has no code.
        """

    @abstractmethod
    def values(self, codes: Tensor) -> Tensor:
        """The levels that codes stand for, in the shape of ``codes``, float32."""

    @abstractmethod
    def levels(self) -> Tensor:
        """All levels in increasing order, ``Tensor[L]``, or ``Tensor[G, L]`` where they differ along an axis."""

    @property
    @abstractmethod
    def has_zero(self) -> bool:
        """Whether zero is a level everywhere, so that padding with zeros keeps to the grid."""

    @property
    @abstractmethod
    def refusal(self) -> str | None:
        """Why Q/DQ nodes (integer codes, one scale, an integer zero-point) cannot carry this grid; None: they can."""

    @property
    def packed_refusal(self) -> str | None:
        """Why Q/DQ nodes cannot carry indices of ``bits`` bits in place of codes; None: they can."""
        return self.refusal

    @property
    def exact(self) -> bool:
        """Whether every level is exactly (code - zero_point) * scale with codes of at most 16 bits."""
        return self.refusal is None

    @property
    def code_dtype(self) -> torch.dtype:
        """The narrowest integer type that holds all codes and zero-points; signed where both kinds do."""
        low, high = self.code_range
        if self.zero_point is not None:
            low, high = min(low, int(self.zero_point.min())), max(high, int(self.zero_point.max()))
        for dtype, (lowest, highest) in CODE_TYPES.items():
            if lowest <= low and high <= highest:
                return dtype
        return torch.int32

    def indices(self, codes: Tensor) -> Tensor:
        """Numbers of levels from 0, int32: what storage of ``bits`` bits a value holds."""
        return (codes.int() - self.index_offset) // self.index_stride

    def codes_of(self, indices: Tensor) -> Tensor:
        """int32 codes of numbers of levels; the inverse of :meth:`indices`."""
        return indices.int() * self.index_stride + self.index_offset


def broadcast(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """One value, or ``Tensor[G]`` for G groups of channels along ``axis``, in a shape that fits ``x``."""
    if axis is None or values.dim() == 0:
        return values
    channels = x.shape[axis]
    if values.shape[0] != channels:
        values = values.repeat_interleave(channels // values.shape[0])
    shape = [1] * x.dim()
    shape[axis] = channels
    return values.view(shape)


def refuse_nan(x: Tensor) -> None:
    """Raise ``FloatingPointError`` where ``x`` holds NaN: as an integer it would become an arbitrary level."""
    if bool(x.isnan().any()):
        raise FloatingPointError("a tensor with NaN values has no integer codes")
