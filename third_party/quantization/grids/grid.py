"""The contract between quantizers and everything that handles integers: which levels a tensor can take."""

from abc import ABC, abstractmethod

from torch import Tensor


class Grid(ABC):
    """The levels of a quantized tensor and the integer code of each.

    Attributes:
        bits: width of a code's meaning; a code may need a wider type.
        axis: dimension along which levels differ; None: one set of levels for the whole tensor.
    """

    bits: int
    axis: int | None

    @property
    @abstractmethod
    def code_range(self) -> tuple[int, int]:
        """Lowest and highest code."""

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """int32 codes of the nearest levels, in the shape of ``x``."""

    @abstractmethod
    def values(self, codes: Tensor) -> Tensor:
        """The levels that codes stand for, in the shape of ``codes``, float32."""

    @abstractmethod
    def levels(self) -> Tensor:
        """All levels in increasing order, ``Tensor[L]``, or ``Tensor[C, L]`` where they differ along an axis."""

    @property
    @abstractmethod
    def refusal(self) -> str | None:
        """Why Q/DQ nodes (integer codes, one scale, an integer zero-point) cannot carry this grid; None: they can."""

    @property
    def exact(self) -> bool:
        """Whether every level is exactly (code - zero_point) * scale with codes of at most 16 bits."""
        return self.refusal is None


def broadcast(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """One value, ``Tensor[C]``, or ``Tensor[G]`` for G groups of channels along ``axis``, in a shape that fits ``x``."""
    if axis is None or values.dim() == 0:
        return values
    channels = x.shape[axis]
    if values.shape[0] != channels:
        values = values.repeat_interleave(channels // values.shape[0])
    shape = [1] * x.dim()
    shape[axis] = channels
    return values.view(shape)
