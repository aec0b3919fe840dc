"""Levels that are whole multiples of one scale, zero among them."""

import torch
from torch import Tensor

from .grid import Grid, broadcast, refuse_nan


class IntegerGrid(Grid):
    """``value = (code - zero_point) * scale`` for whole codes in [low, high].

    Args:
        scale: positive, ``Tensor[]``, or ``Tensor[G]`` for G groups of channels along ``axis``.
        zero_point: the code of zero, in the shape of ``scale``; rounded half to even.
        low, high: lowest and highest code.
        bits: width; ``high - low < 2 ** bits``.
        axis: dimension of the groups.

    Raises:
        ValueError: shapes differ, or there are more codes than ``bits`` can count.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(
        self, scale: Tensor, zero_point: Tensor, low: int, high: int, bits: int, axis: int | None = None
    ) -> None:
        if scale.shape != zero_point.shape:
            raise ValueError(f"scale of shape {tuple(scale.shape)}, but zero-point of {tuple(zero_point.shape)}")
        if not 0 < high - low < 2**bits:
            raise ValueError(f"codes from {low} to {high} are not 2 to {2**bits} levels, which {bits} bits can count")
        self.scale = scale.detach().float().clone()
        self.zero_point = zero_point.detach().round().int()
        self.low, self.high, self.bits, self.axis = low, high, bits, axis
        self.index_offset = low

    @property
    def code_range(self) -> tuple[int, int]:
        return self.low, self.high

    def codes(self, x: Tensor) -> Tensor:
        refuse_nan(x)
        scale, zero = broadcast(self.scale, x, self.axis), broadcast(self.zero_point.float(), x, self.axis)
        return (x.float() / scale + zero).clamp(self.low, self.high).round().int()

    def values(self, codes: Tensor) -> Tensor:
        zero = broadcast(self.zero_point, codes, self.axis)
        return (codes.int() - zero).float() * broadcast(self.scale, codes, self.axis)

    def levels(self) -> Tensor:
        codes = torch.arange(self.low, self.high + 1, device=self.scale.device)
        return (codes - self.zero_point[..., None]).float() * self.scale[..., None]

    @property
    def has_zero(self) -> bool:
        return bool(((self.zero_point >= self.low) & (self.zero_point <= self.high)).all())

    @property
    def refusal(self) -> str | None:
        if self.code_dtype is torch.int32:
            first, last = int(self.zero_point.min()), int(self.zero_point.max())
            return f"codes {self.low} to {self.high} with zero-points {first} to {last} do not fit into one 16-bit type"
        return None

    @property
    def packed_refusal(self) -> str | None:
        if self.has_zero:
            return self.refusal
        return f"zero-points outside the codes {self.low} to {self.high} do not fit into {self.bits} bits"
