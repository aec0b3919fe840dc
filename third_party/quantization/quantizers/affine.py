"""Quantizers whose levels are equally spaced: a step, a zero-point and the numbers of the levels."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..functional.fake_quantize import fake_quantize
from ..functional.rounding import lsq_gradient_factor, positive, scale_gradient
from ..grids import Grid, IntegerGrid, IntervalGrid
from ..grids.levels import SMALLEST_STEP, Levels
from ..observers import Range, estimate_range
from ..spec import QuantSpec, Role
from .quantizer import Quantizer


class AffineQuantizer(Quantizer):
    """Equally spaced levels ``(k - zero_point + h) * step``; h is 1/2 on a signed interval grid, else 0.

    Level numbers k: 0 to ``2^b - 1`` without sign or with a zero-point, ``-2^(b-1)`` to ``2^(b-1) - 1`` with sign
    (one less with ``narrow_range`` on the integer grid). The signed interval grid has ``step = 2 v / (2^b - 1)``.

    Attributes:
        scale: the step, in the shape of :meth:`group_shape`; learned if the method learns.
        zero_point: number of the level zero, in the same shape; not rounded, but rounded half to even in every use.
        levels: numbers of the levels; they follow bits and sign.
        learned: whether the range is learned by gradients.
        clip_gradient_only: whether only clipped values move the step.
        fixed_range: whether the method says what the range is, whatever the data.
    """

    learned: ClassVar[bool] = True
    clip_gradient_only: ClassVar[bool] = False
    fixed_range: ClassVar[bool] = False

    scale: Tensor
    zero_point: Tensor

    def __init__(self, spec: QuantSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> None:
        super().__init__(spec, role, num_channels, channel_axis)
        self.levels = self.levels_for(self.bits, self.signed)
        self.create_range()

    # -- the range: what a method overrides that keeps it in another form ----------------------------------------

    def create_range(self) -> None:
        """Register the parameters or buffers of the range."""
        self.register_range("scale", self.learned)
        self.register_range("zero_point", learned=False)
        self.zero_point.zero_()

    def register_range(self, name: str, learned: bool) -> None:
        """Register a tensor of ones in the shape of :meth:`group_shape`."""
        value = torch.ones(self.group_shape())
        if learned:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def step(self) -> Tensor:
        """Distance between neighbouring levels, positive, differentiable, float32."""
        return positive(self.scale.float(), SMALLEST_STEP)

    def zero(self) -> Tensor:
        """The zero-point before rounding, float32, within the level numbers if the grid has one."""
        return self.zero_point.float() if self.levels.symmetric else self._within_levels(self.zero_point.float())

    def store(self, step: Tensor, zero_point: Tensor) -> None:
        """Set the range, both in the shape of :meth:`group_shape`; without gradients."""
        # Through .data: a module called twice in one step must not find what it saved changed by the second call.
        self.scale.data.copy_(step)
        self.zero_point.data.copy_(zero_point)

    def _within_levels(self, zero_point: Tensor) -> Tensor:
        return zero_point.clamp(self.levels.low, self.levels.high)

    # -- what the base class asks for -----------------------------------------------------------------------------

    def levels_for(self, bits: int, signed: bool) -> Levels:
        """The numbers of the levels of a width; a ValueError if there are none."""
        return Levels.of(
            bits,
            signed,
            symmetric=self.spec.symmetric,
            interval=self.spec.grid == "interval",
            narrow=self.spec.narrow_range,
        )

    def check_levels(self, bits: int, signed: bool) -> None:
        self.levels_for(bits, signed)

    def on_bits_changed(self) -> None:
        self.levels = self.levels_for(self.bits, self.signed)

    @torch.no_grad()
    def rescale(self, bits_before: int) -> None:
        ends = self.levels.ends(self.step(), self.zero())
        self.levels = self.levels_for(self.bits, self.signed)
        self.store(*self.levels.place(*ends))

    @torch.no_grad()
    def set_range(self, bottom: Tensor | float, top: Tensor | float) -> None:
        """Set the clipping range, as found by others than this quantizer; it needs no data any more.

        The range is widened to hold zero, and zero becomes a level. Levels without a zero-point reach as far as the
        farther end; a negative bottom gives them a negative side where the data decide on it.

        Args:
            bottom, top: its ends, in the shape of :meth:`group_shape` or one for all groups.

        Raises:
            ValueError: ends that are not finite or not in order, or a method whose range is fixed.
        """
        if self.fixed_range:
            raise ValueError(f"the range of method {self.spec.method} is fixed")
        ends = [torch.as_tensor(end, dtype=torch.float32, device=self.state.device) for end in (bottom, top)]
        low, high = (end.expand(self.group_shape()) for end in ends)
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all() and (low <= high).all()):
            raise ValueError(f"a range needs finite ends in order, got {low.tolist()} to {high.tolist()}")
        low, high = low.clamp_max(0.0), high.clamp_min(0.0)
        if self.levels.symmetric:
            negative = self.role is Role.ACTIVATION and bool((low < 0).any())
            if negative and self.spec.signed is None and not self.signed:
                self.become_signed()
            high = torch.maximum(high, -low) if self.levels.low < 0 else high
        self.store(*self.levels.place(low, high))
        self.mark_initialized()

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        old = self.levels.ends(self.step(), self.zero())
        new = self.estimate(self.transform(x))
        bottom, top = (self.average(n, o) for n, o in zip(new, old, strict=True))
        self.store(*self.levels.place(bottom, top))

    def estimate(self, x: Tensor) -> Range:
        """Ends of the clipping range that one batch asks for, each in the shape of :meth:`group_shape`."""
        return estimate_range(x, self.spec, self.levels, self.num_groups, self.axis)

    def quantize(self, x: Tensor) -> Tensor:
        x = self.transform(x)
        step, zero, factor = self.step(), self.zero(), self.gradient_factor(x)
        if torch.compiler.is_compiling():
            # As a number inside the operator it would tie a graph for any image size to the size of the example.
            step, zero, factor = scale_gradient(step, factor), scale_gradient(zero, factor), 1.0
        return fake_quantize(
            x,
            step,
            zero,
            self.levels.low,
            self.levels.high,
            axis=self.axis,
            half=self.levels.half,
            gradient_factor=factor,
            clip_gradient_only=self.clip_gradient_only,
        )

    def gradient_factor(self, x: Tensor) -> float:
        """What the gradient of the step is multiplied by: 1, or ``1 / sqrt(N Qp)`` in methods after LSQ."""
        return 1.0

    def grid(self) -> Grid:
        step, zero, levels = self.step().detach(), self.zero().detach(), self.levels
        if levels.half:
            return IntervalGrid(step / 2, self.bits, self.axis)
        return IntegerGrid(step, zero, levels.low, levels.high, self.bits, self.axis)


class LearnedStepQuantizer(AffineQuantizer):
    """A step learned by the task's loss, its gradient scaled as LSQ has it (arXiv 1902.08153, section 2.2)."""

    def gradient_factor(self, x: Tensor) -> float:
        """``1 / sqrt(N Qp)``: N values of ``x`` share a step, Qp is the number of the highest level."""
        return lsq_gradient_factor(x.numel() // self.num_groups, self.levels.high)


class LearnedRangeQuantizer(AffineQuantizer):
    """Learns the end v of the clipping range in place of the step: ``step = v / span``.

    ``span`` is the number of steps from zero to the highest level, ``(2^b - 1) / 2`` on a signed interval grid. With
    a zero-point v is the width of the range and ``span`` is ``2^b - 1``.

    Attributes:
        range_name: name of the parameter v, in the shape of :meth:`group_shape`.
    """

    range_name: ClassVar[str] = "clip"

    def create_range(self) -> None:
        self.register_range(self.range_name, self.learned)
        self.register_range("zero_point", learned=False)
        self.zero_point.zero_()

    def range_end(self) -> Tensor:
        """v, positive, differentiable, float32."""
        return positive(getattr(self, self.range_name).float(), SMALLEST_STEP * self.levels.span)

    def step(self) -> Tensor:
        return self.range_end() / self.levels.span

    def store(self, step: Tensor, zero_point: Tensor) -> None:
        getattr(self, self.range_name).data.copy_(step * self.levels.span)
        self.zero_point.data.copy_(zero_point)
