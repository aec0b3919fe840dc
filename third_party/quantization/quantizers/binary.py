"""What the one-bit methods share: signs, a scale, and the levels they make."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from ..functional.groups import group_mean
from ..functional.surrogates import sign_clipped, signs
from ..grids.grid import Grid, broadcast
from ..grids.integer_grid import IntegerGrid
from ..grids.interval_grid import IntervalGrid
from ..grids.levels import SMALLEST_STEP
from .quantizer import Quantizer


class BinaryQuantizer(Quantizer):
    """Two levels: -scale and scale, or 0 and scale for a tensor without negative values.

    The signs of a tensor that a rectifier made are all +1 and say nothing. Such a tensor becomes ``scale`` from half
    the scale on and 0 below: the signs of ``z = 2 x / scale - 1``, halved and moved. The surrogate gradient is taken
    at z, so that a clipped straight-through gradient passes where ``0 <= x <= scale``.

    Attributes:
        scale: buffer or parameter, ``Tensor[]`` or ``Tensor[G]``.
        sign: the step and its surrogate gradient.
    """

    scale: Tensor
    sign: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(sign_clipped)

    @abstractmethod
    def current_scale(self, x: Tensor) -> Tensor:
        """The scale for ``x`` (transformed), positive; with a gradient where the method learns it by one."""

    def measure(self, x: Tensor) -> Tensor:
        """The scale that suits data best, at least ``SMALLEST_STEP``.

        ``mean|x|`` minimises the squared error of ``scale * sign(x)`` (XNOR-Net, equation 6). Without negative values:
        ``sum x^2 / sum x``, the mean of x weighted by x, which is c for data that are 0 or c.
        """
        mean = group_mean(x.abs(), self.num_groups, self.axis)
        if not self.signed:
            mean = group_mean(x.square(), self.num_groups, self.axis) / mean.clamp_min(SMALLEST_STEP)
        return mean.clamp_min(SMALLEST_STEP)

    def initialize(self, x: Tensor) -> None:
        # Through .data: a module called twice in one step must not find its saved scale changed by the second call.
        self.scale.data.copy_(self.average(self.measure(self.transform(x)), self.scale.data))

    def quantize(self, x: Tensor) -> Tensor:
        values = self.transform(x.float())
        scale = broadcast(self.current_scale(values), values, self.axis)
        if self.signed:
            return (type(self).sign(values) * scale).to(x.dtype)
        return ((type(self).sign(_around_half(values, scale)) + 1) / 2 * scale).to(x.dtype)

    @torch.no_grad()
    def integers(self, x: Tensor) -> Tensor:
        values = self.transform(x.detach().float())
        if self.signed:
            return signs(values).int()
        scale = broadcast(self.current_scale(values), values, self.axis)
        return ((signs(_around_half(values, scale)) + 1) / 2).int()

    def grid(self) -> Grid:
        """Both are exact: codes -1 and 1, or 0 and 1, times the scale."""
        scale = self.scale.detach().float().clamp_min(SMALLEST_STEP)
        if self.signed:
            return IntervalGrid(scale, 1, self.axis)
        return IntegerGrid(scale, torch.zeros_like(scale), 0, 1, 1, self.axis)


def _around_half(x: Tensor, scale: Tensor) -> Tensor:
    return 2 * x / scale.detach() - 1
