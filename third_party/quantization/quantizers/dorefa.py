"""Fixed ranges (DoReFa-Net, arXiv 1606.06160)."""

import torch
from torch import Tensor

from ..grids import broadcast
from ..observers import Range
from ..spec import DoReFaSpec, QuantSpec, Role
from .affine import AffineQuantizer
from .registry import register


@register(DoReFaSpec)
class DoReFa(AffineQuantizer):
    """Weights become ``tanh(w) / max|tanh(w)|`` in [-1, 1] (equation 9), activations are clipped to [0, 1].

    Nothing is learned or observed but the sign: activations with negative values are clipped to [-1, 1]. The levels
    are those of the transformed weight, so that a layer's output differs in scale from that of the float layer;
    batch norm makes up for it. The maximum is taken for each range. With one bit on the interval grid the weights are
    the signs; the mean magnitude that the paper gives them then is that of method xnor.

    Raises:
        ValueError: an asymmetric spec; the ranges are fixed.
    """

    learned = False
    fixed_range = True

    def __init__(self, spec: QuantSpec, role: Role, num_channels: int | None = None, channel_axis: int = 0) -> None:
        if not spec.symmetric:
            raise ValueError("symmetric must be True for method dorefa, whose ranges are fixed; minmax has zero-points")
        super().__init__(spec, role, num_channels, channel_axis)
        with torch.no_grad():
            self.store(*self.levels.place(*self.estimate(torch.empty(0))))

    def estimate(self, x: Tensor) -> Range:
        one = torch.ones_like(self.scale)
        return (-one if self.signed else torch.zeros_like(one)), one

    def transform(self, x: Tensor) -> Tensor:
        if self.role is Role.ACTIVATION or x.numel() == 0:
            return x
        squashed = x.tanh()
        if self.axis is None:
            largest = squashed.abs().amax()
        else:
            largest = squashed.abs().movedim(self.axis, 0).reshape(self.num_groups, -1).amax(1)
        # A range of zeros stays zero, with gradients as if its largest value were 1.
        largest = torch.where(largest > 0, largest, torch.ones_like(largest))
        return squashed / broadcast(largest, x, self.axis)
