"""How a program computes with integers: the contract of its executors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Settings of a convolution, each for height and width.

    Attributes:
        stride, dilation: in pixels of the input.
        padding: rows above and below, columns left and right, of zeros: (top, bottom, left, right).
        groups: of channels.
        transposed: a transposed convolution; ``padding`` is then cut off the output.
        output_padding: rows below and columns right that a transposed convolution adds.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, int] = (0, 0)


class Arithmetic(ABC):
    """Computes with whole numbers; all executors give the same ones.

    Attributes:
        name: of the executor.
        device: where its tensors are.
    """

    name: str

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = torch.device("cpu") if device is None else device

    @abstractmethod
    def take(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """Whole numbers as the executor keeps them; ``dtype`` is the narrowest integer type that holds them."""

    @abstractmethod
    def convolve(self, codes: Tensor, zero_point: Tensor, weight: Tensor, window: Window) -> Tensor:
        """Sums of products of ``codes - zero_point`` and weights, below 2 ** 31.

        Args:
            codes: ``Tensor[N, C_in, H, W]``.
            zero_point: ``Tensor[]`` or ``Tensor[C_in]``; what padding holds.
            weight: integers, ``Tensor[C_out, C_in / groups, kh, kw]``, for transposed convolutions
                ``Tensor[C_in, C_out / groups, kh, kw]``.
            window: stride and so on.

        Returns:
            ``Tensor[N, C_out, H', W']``.
        """

    @abstractmethod
    def multiply(self, codes: Tensor, zero_point: Tensor, weight: Tensor) -> Tensor:
        """Sums of products of ``codes - zero_point``, ``Tensor[..., C_in]``, and weights ``Tensor[C_out, C_in]``."""

    @abstractmethod
    def combine(self, terms: Sequence[Tensor], c: Sequence[Tensor], d: Tensor, b: Tensor) -> Tensor:
        """``round((sum of c_i * term_i + b) / 2 ** d)``, halves to even; what is rounded stays below 2 ** 53.

        Args:
            terms: tensors of whole numbers.
            c: a multiplier for each, int64 of a shape that broadcasts with it.
            d, b: int64 of such shapes.
        """

    @abstractmethod
    def clamp(self, numbers: Tensor, low: int, high: int) -> Tensor:
        """Whole numbers limited to a range."""

    @abstractmethod
    def look_up(self, codes: Tensor, table: Tensor, first: int, stride: int) -> Tensor:
        """``table[(codes - first) / stride]``; the table's entries are integers of the narrowest type."""

    @abstractmethod
    def interpolate(self, codes: Tensor, table: Tensor, first: int, shift: int) -> Tensor:
        """``y0 + floor(((y1 - y0) * r + h) / 2 ** shift)``, h being half of ``2 ** shift``.

        y0 and y1 are entries k and k + 1 of the table (int32, differences below 2 ** 31), where
        ``codes - first = k * 2 ** shift + r``.
        """
