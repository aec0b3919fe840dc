"""Trained ternary quantization (arXiv 1612.01064): thresholded weights with learned levels."""

import torch
from torch import Tensor, nn

from ..functional.groups import group_sum, to_groups
from ..functional.rounding import positive
from ..grids import CodebookGrid, Grid, IntegerGrid, broadcast
from ..grids.grid import refuse_nan
from ..grids.levels import SMALLEST_STEP
from ..spec import Role, TTQSpec
from .quantizer import Quantizer
from .registry import register


@register(TTQSpec)
class TTQ(Quantizer):
    """``Wp`` where w > D, ``-Wn`` where w < -D, 0 between; ``D = t max|w|`` over each group (equation 6).

    Gradients (section 3.1), g being that of the quantized weight:

    * of Wp the sum of g over the weights above D, of Wn minus the sum of g below -D. Equation 7 prints the second
      without its sign; with the level at -Wn, the derivative has it;
    * of w (equation 8): ``Wp g`` above D, ``g`` between, ``Wn g`` below -D.

    With ``spec.tied`` one parameter stands for both magnitudes, and the levels are whole multiples of it.

    Attributes:
        positive_level, negative_level: parameters Wp and Wn, or
        scale: the tied one. ``Tensor[]`` or ``Tensor[G]``. They start at the mean magnitude of the weights beyond D.
    """

    spec: TTQSpec
    scale: nn.Parameter
    positive_level: nn.Parameter
    negative_level: nn.Parameter

    def __init__(self, spec: TTQSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> None:
        super().__init__(spec, role, num_channels, channel_axis)
        for name in ("scale",) if spec.tied else ("positive_level", "negative_level"):
            self.register_parameter(name, nn.Parameter(torch.ones(self.group_shape())))

    def _magnitudes(self) -> tuple[Tensor, Tensor]:
        """Wp and Wn, kept positive."""
        above, below = (self.scale, self.scale) if self.spec.tied else (self.positive_level, self.negative_level)
        return positive(above, SMALLEST_STEP), positive(below, SMALLEST_STEP)

    def _ternary(self, x: Tensor) -> Tensor:
        """-1, 0 or 1 for each weight, in its type."""
        if x.numel() == 0:
            return torch.zeros_like(x)
        largest = to_groups(x.abs(), self.num_groups, self.axis).amax(1).view(self.group_shape())
        threshold = broadcast(self.spec.threshold * largest, x, self.axis)
        return (x > threshold).to(x.dtype) - (x < -threshold).to(x.dtype)

    def _mean(self, x: Tensor, chosen: Tensor) -> Tensor:
        total = group_sum(x.abs() * chosen, self.num_groups, self.axis)
        count = group_sum(chosen.to(x.dtype), self.num_groups, self.axis)
        return (total / count.clamp_min(1)).clamp_min(SMALLEST_STEP)

    def initialize(self, x: Tensor) -> None:
        """Each magnitude becomes the mean of the weights that take it, which has the least squared error."""
        ternary = self._ternary(x)
        sides = {"scale": ternary != 0, "positive_level": ternary > 0, "negative_level": ternary < 0}
        for name, parameter in self.named_parameters(recurse=False):
            parameter.data.copy_(self.average(self._mean(x, sides[name]), parameter.data))

    def quantize(self, x: Tensor) -> Tensor:
        """See the class."""
        weight = x.float()
        ternary = self._ternary(weight.detach())
        above, below = (broadcast(value, weight, self.axis) for value in self._magnitudes())
        value = torch.where(ternary > 0, above, 0.0) - torch.where(ternary < 0, below, 0.0)
        slope = torch.where(ternary > 0, above, torch.where(ternary < 0, below, 1.0)).detach()
        return (value + (weight - weight.detach()) * slope).to(x.dtype)

    @torch.no_grad()
    def integers(self, x: Tensor) -> Tensor:
        """Codes -1, 0, 1 (tied), or 0, 1, 2; by the threshold D, which does not lie midway between levels."""
        refuse_nan(x)
        return self._ternary(x.detach().float()).int() + (0 if self.spec.tied else 1)

    def grid(self) -> Grid:
        """Exact when tied; otherwise a codebook."""
        above, below = (value.detach().float() for value in self._magnitudes())
        if self.spec.tied:
            return IntegerGrid(above, torch.zeros_like(above), -1, 1, self.bits, self.axis)
        return CodebookGrid(torch.stack([-below, torch.zeros_like(above), above], dim=-1), self.bits, self.axis)
