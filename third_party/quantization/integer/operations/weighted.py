"""Convolutions and linear layers: integer operands, int32 sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..arithmetic.base import Arithmetic, Window
from ..packing import PackedCodes
from .base import Operation, register_operation


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(Operation):
    """A layer with integer weights.

    Attributes:
        weight: the integers.
        weight_zero_point: subtracted from them; None: 0. Broadcasts with the weight.
        zero_point: of the input's codes, one or one a channel.
    """

    weight: PackedCodes
    weight_zero_point: Tensor | None
    zero_point: tuple[int, ...]

    @cached_property
    def operand(self) -> Tensor:
        """The weight minus its zero-point, in the narrowest type."""
        codes = self.weight.unpack()
        if self.weight_zero_point is None:
            return codes
        centred = codes.int() - self.weight_zero_point.int()
        return PackedCodes.pack(centred).unpack().to(codes.device)

    @cached_property
    def zeros(self) -> Tensor:
        """The zero-point as a tensor, ``Tensor[]`` or ``Tensor[C_in]``."""
        zeros = torch.tensor(self.zero_point, dtype=torch.int32, device=self.weight.data.device)
        return zeros[0] if len(self.zero_point) == 1 else zeros


@register_operation("convolution")
@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Weighted):
    """A convolution, plain, grouped or transposed.

    Attributes:
        window: (stride, padding, dilation, groups, transposed, output padding) as in :class:`Window`.
    """

    window: Window

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        return arithmetic.convolve(inputs[0], self.zeros, self.operand, self.window)


@register_operation("linear")
@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Weighted):
    """A linear layer on the last dimension."""

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        return arithmetic.multiply(inputs[0], self.zeros, self.operand)
