"""Rounding up or down as a learned choice (AdaRound, arXiv 2004.10568)."""

import torch
from torch import Tensor, nn

from ...grids.grid import Grid, broadcast
from ...modules import QuantLayer
from ...quantizers.affine import AffineQuantizer
from ...quantizers.quantizer import Quantizer
from ..weight_ranges import folded_factor

# The stretched sigmoid reaches 0 and 1 (section 3.2: zeta and gamma).
_HIGH, _LOW = 1.1, -0.1


class LearnedRounding(nn.Module):
    """Stands in for a weight's quantizer and learns which of its two neighbouring levels each weight takes.

    ``W = s * clip(floor(w / s) + h(V), low, high)`` with ``h(V) = clip(sigmoid(V) (zeta - gamma) + gamma, 0, 1)``
    (equations 22 and 23). At the start h(V) is what rounding down leaves, so that W is w.

    Attributes:
        choice: V, in the shape of the weight.
        hard: round to 0 or 1 instead of h(V).
    """

    def __init__(self, quantizer: AffineQuantizer, weight: Tensor) -> None:
        """
        Args:
            quantizer: of the weight; its range is taken from ``weight`` if it has none.
            weight: what the quantizer gets, batch norm and all.
        """
        super().__init__()
        if not quantizer.initialized:
            quantizer(weight.detach())
        self.quantizer = quantizer
        self.hard = False
        levels = quantizer.levels
        weight = weight.detach().float()
        self._step = broadcast(quantizer.step().detach(), weight, quantizer.axis)
        self._zero = broadcast(quantizer.zero().detach().round(), weight, quantizer.axis) - 0.5 * levels.half
        position = (weight / self._step + self._zero).clamp(levels.low, levels.high)
        self._floor = position.floor()
        share = (position - self._floor - _LOW) / (_HIGH - _LOW)
        self.choice = nn.Parameter(torch.logit(share))

    @property
    def enabled(self) -> bool:
        """As the quantizer."""
        return self.quantizer.enabled

    @property
    def initialized(self) -> bool:
        """As the quantizer."""
        return self.quantizer.initialized

    def grid(self) -> Grid:
        """As the quantizer."""
        return self.quantizer.grid()

    def rounding(self) -> Tensor:
        """h(V), 0 for down and 1 for up."""
        if self.hard:
            return (self.choice >= 0).float()
        return (self.choice.sigmoid() * (_HIGH - _LOW) + _LOW).clamp(0, 1)

    def forward(self, weight: Tensor) -> Tensor:
        """The rounded weight; differentiable in :attr:`choice` alone."""
        levels = self.quantizer.levels
        codes = (self._floor + self.rounding()).clamp(levels.low, levels.high)
        return ((codes - self._zero) * self._step).to(weight.dtype)

    def penalty(self, beta: float) -> Tensor:
        """How undecided the weights are: the mean of ``1 - |2 h(V) - 1| ** beta`` (equation 24 has the sum)."""
        return (1 - (2 * self.rounding() - 1).abs().pow(beta)).mean()


def can_learn_rounding(layer: QuantLayer) -> bool:
    """Whether the levels of a layer's weight are equally spaced, and its rounded weight can be put in its place."""
    quantizer = layer.weight_quantizer
    return (
        isinstance(quantizer, AffineQuantizer)
        and quantizer.enabled
        and type(quantizer).transform is Quantizer.transform
        and not layer.options.standardize
    )


@torch.no_grad()
def put_weight(layer: QuantLayer, prepared: Tensor) -> None:
    """Change a layer's weight so that its quantizer gets ``prepared``, up to float rounding.

    Levels stay levels: nearest rounding, and :func:`convert`, find the codes that were learned.
    """
    weight, factor = prepared.float(), folded_factor(layer)
    if layer.input_scale is not None:
        weight = weight / layer.spread_inputs(layer.input_scale, weight)
    if factor is not None:
        spread = layer.spread(factor, weight)
        # A channel that the norm multiplies by zero is zero whatever its weight.
        weight = torch.where(spread == 0, layer.weight, weight / spread)
    layer.weight.data.copy_(weight)
