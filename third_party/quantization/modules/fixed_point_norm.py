"""Batch norm as integer multiply-add."""

import torch
from torch import Tensor, nn

from ..functional.fixed_point import fixed_point_batch_norm


class FixedPointBatchNorm(nn.Module):
    """A factor and a shift a channel, as integer hardware applies them (AQD, arXiv 2007.06919, section 3.3).

    An input ``k * step`` with whole ``k`` becomes ``(c * k + b) * step / 2**d`` with integers c, d and b: the factor
    is ``c / 2**d``, and the shift is rounded to whole multiples of ``step / 2**d``, the grid of the output. Gradients
    pass both roundings unchanged. Has no parameters: whoever calls it holds the norm.
    """

    def __init__(self, bits: int = 16) -> None:
        """
        Args:
            bits: width of the signed multiplier c.

        Raises:
            ValueError: fewer than 2 bits, or more than 31.
        """
        super().__init__()
        if not 2 <= bits <= 31:
            raise ValueError(f"bits of a fixed-point multiplier must be from 2 to 31, got {bits!r}")
        self.bits = bits

    def forward(self, factor: Tensor, shift: Tensor, step: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Round a norm's numbers.

        Args:
            factor, shift: of each channel, ``Tensor[C]``.
            step: unit of the input, ``Tensor[]`` or ``Tensor[C]``; None for an input that is no multiple of
                anything: the shift is then rounded to multiples of ``1 / 2**d``.

        Returns:
            The rounded factor and shift, both ``Tensor[C]``.
        """
        rounded_factor, rounded_shift = self.values(*self.integers(factor, shift, step), step)
        return (
            factor + (rounded_factor.to(factor.dtype) - factor).detach(),
            shift + (rounded_shift.to(shift.dtype) - shift).detach(),
        )

    @torch.no_grad()
    def integers(self, factor: Tensor, shift: Tensor, step: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The integers c, d and b of each channel, for the same arguments: int64, but d int32."""
        unit = torch.ones((), device=factor.device) if step is None else step.detach()
        zero, one = torch.zeros_like(factor), torch.ones_like(factor)
        rounded = fixed_point_batch_norm(factor, shift.detach(), zero, one, 0.0, unit, unit, self.bits)
        return rounded.c, rounded.d, rounded.b

    @staticmethod
    def values(c: Tensor, d: Tensor, b: Tensor, step: Tensor | None) -> tuple[Tensor, Tensor]:
        """Factor and shift, float32, that the integers stand for."""
        unit = 1.0 if step is None else step.detach().double()
        return torch.ldexp(c.double(), -d).float(), (torch.ldexp(b.double(), -d) * unit).float()

    def extra_repr(self) -> str:
        return f"bits={self.bits}"
