"""Two, three or four levels with learned thresholds, after FATNN (arXiv 2008.05101, section 3.2)."""

import torch
from torch import Tensor, nn

from ..functional.groups import group_mean, group_sum
from ..functional.rounding import lsq_gradient_factor, positive
from ..functional.threshold_steps import threshold_counts, threshold_steps
from ..grids import Grid, IntegerGrid, IntervalGrid, broadcast
from ..grids.grid import refuse_nan
from ..grids.levels import SMALLEST_STEP
from ..spec import LearnedThresholdSpec, Role
from .quantizer import Quantizer
from .registry import register

_FIT_STEPS = 10


@register(LearnedThresholdSpec)
class LearnedThreshold(Quantizer):
    """Evenly spaced levels, ``scale`` apart; which values become which level is learned apart from where levels are.

    Levels in units of ``scale``: 0, 1, .., L - 1 without negative values. With them -1, 0, 1 for three levels,
    -1/2, 1/2 for two, and for four -2, -1, 0, 1, or -3/2, -1/2, 1/2, 3/2 with grid "interval". Gradients are those of
    :func:`~third_party.quantization.functional.threshold_steps.threshold_steps`, multiplied by ``1 / sqrt(N (L - 1))``
    for parameters that N values share (as LSQ, arXiv 1902.08153, section 2.2). FATNN's ternary quantizer rounds the
    two sides of zero with a step size each; thresholds of their own are the same freedom for any number of levels.

    The levels are exact multiples of one scale, but a value's level is not always the nearest one: :meth:`integers`
    gives its code, ``grid().codes`` does not.

    Attributes:
        scale: parameter, ``Tensor[]`` or ``Tensor[G]``: distance between neighbouring levels.
        thresholds: parameter, ``Tensor[L - 1]`` or ``Tensor[G, L - 1]``, in units of ``scale``; first midway.
    """

    spec: LearnedThresholdSpec

    def __init__(
        self, spec: LearnedThresholdSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0
    ) -> None:
        super().__init__(spec, role, num_channels, channel_axis)
        self.scale = nn.Parameter(torch.ones(self.group_shape()))
        self.thresholds = nn.Parameter(torch.zeros(*self.group_shape(), spec.levels - 1))
        self._spread_thresholds()

    def _halved(self) -> bool:
        """Whether levels lie half a step beside the whole ones."""
        levels = self.spec.levels
        return self.signed and (levels == 2 or (levels == 4 and self.spec.grid == "interval"))

    def _lowest(self) -> float:
        """The lowest level in steps."""
        levels = self.spec.levels
        if not self.signed:
            return 0.0
        return -(levels - 1) / 2 if self._halved() else -float(levels // 2)

    def _spread_thresholds(self) -> None:
        midway = torch.arange(self.spec.levels - 1, device=self.thresholds.device) + (self._lowest() + 0.5)
        self.thresholds.data.copy_(midway.expand_as(self.thresholds))

    def check_levels(self, bits: int, signed: bool) -> None:
        """Only the width it was made with: another would be another number of levels and thresholds."""
        if bits != self.spec.bits:
            raise ValueError(
                f"method {self.spec.method} with {self.spec.levels} levels has {self.spec.bits} bits, not {bits}: its "
                "learned thresholds belong to their levels"
            )

    def _least_squares_scale(self, x: Tensor) -> Tensor:
        """Alternate between the nearest levels k for a scale and the best scale for them, ``sum x k / sum k^2``."""
        groups, axis, lowest, count = self.num_groups, self.axis, self._lowest(), self.spec.levels - 1
        scale = (2 * group_mean(x.abs(), groups, axis) / max(abs(lowest), count + lowest) ** 0.5).clamp_min(
            SMALLEST_STEP
        )
        for _ in range(_FIT_STEPS):
            steps = x / broadcast(scale, x, axis) - lowest
            level = steps.clamp(0, count).round() + lowest
            square = group_sum(level.square(), groups, axis)
            best = group_sum(x * level, groups, axis) / square.clamp_min(0.25)
            scale = torch.where(square > 0, best, scale).clamp_min(SMALLEST_STEP)
        return scale

    def initialize(self, x: Tensor) -> None:
        """The scale of least squared error with thresholds midway, found by alternation."""
        self.scale.data.copy_(self.average(self._least_squares_scale(x), self.scale.data))
        self._spread_thresholds()

    def quantize(self, x: Tensor) -> Tensor:
        """See the class."""
        factor = lsq_gradient_factor(x.numel() // self.num_groups, self.spec.levels - 1)
        step = positive(self.scale, SMALLEST_STEP)
        return threshold_steps(x.float(), step, self.thresholds, self._lowest(), self.axis, factor).to(x.dtype)

    @torch.no_grad()
    def integers(self, x: Tensor) -> Tensor:
        """Codes by the learned thresholds."""
        refuse_nan(x)
        step = positive(self.scale, SMALLEST_STEP)
        counts = threshold_counts(x.detach().float(), step, self.thresholds, self.axis)
        return (2 * (counts + self._lowest())).int() if self._halved() else (counts + self._lowest()).int()

    def grid(self) -> Grid:
        """Exact: codes are whole (or odd) multiples of the scale (or half of it)."""
        scale = positive(self.scale, SMALLEST_STEP).detach().float()
        if self._halved():
            return IntervalGrid(scale / 2, self.bits, self.axis)
        low = int(self._lowest())
        return IntegerGrid(scale, torch.zeros_like(scale), low, low + self.spec.levels - 1, self.bits, self.axis)
