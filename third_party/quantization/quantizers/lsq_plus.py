"""LSQ with a learned offset (LSQ+, arXiv 2004.09576)."""

import torch
from torch import Tensor

from ..functional.rounding import with_gradient_of
from ..spec import LSQPlusSpec
from .affine import LearnedStepQuantizer
from .registry import register


@register(LSQPlusSpec)
class LSQPlus(LearnedStepQuantizer):
    """Step and offset are learned: ``round(clip((x - offset) / s, 0, 2^b - 1)) * s + offset`` (equations 1 and 2).

    In use the offset is moved to the nearest whole number of steps, ``-zero_point * s``, so that zero is a level and
    the grid has an integer zero-point; gradients pass that rounding, and are otherwise those of equations 4 and 5,
    times ``1 / sqrt(N Qp)``. A symmetric spec has no offset: it is LSQ.

    Attributes:
        offset: value of the lowest level, before it is moved, in the shape of :meth:`group_shape`; it takes the place
            of a stored zero-point.
    """

    offset: Tensor

    def create_range(self) -> None:
        if self.spec.symmetric:
            super().create_range()
            return
        self.register_range("scale", learned=True)
        self.register_range("offset", learned=True)
        torch.nn.init.zeros_(self.offset)

    def zero(self) -> Tensor:
        if self.spec.symmetric:
            return super().zero()
        zero = -self.offset.float() / self.step()
        return with_gradient_of(self._within_levels(zero), zero)

    def store(self, step: Tensor, zero_point: Tensor) -> None:
        if self.spec.symmetric:
            super().store(step, zero_point)
            return
        self.scale.data.copy_(step)
        self.offset.data.copy_(-zero_point * step)
