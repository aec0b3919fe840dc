"""XNOR-Net (arXiv 1603.05279): signs times the mean magnitude."""

import torch
from torch import Tensor

from ..spec import Role, XNORSpec
from .binary import BinaryQuantizer
from .registry import register


class MeasuredScale(BinaryQuantizer):
    """A binary quantizer whose scale is a statistic, kept in a buffer."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.register_buffer("scale", torch.ones(self.group_shape()))

    def current_scale(self, x: Tensor) -> Tensor:
        return self.scale


class MeasuredWeightScale(MeasuredScale):
    """The scale follows the weight: it is measured in every forward, until frozen."""

    def current_scale(self, x: Tensor) -> Tensor:
        if not self.frozen:
            with torch.no_grad():
                measured = self.measure(x)
                self.scale.copy_(measured)
            return measured
        return self.scale


@register(XNORSpec, Role.WEIGHT)
class XNORWeight(MeasuredWeightScale):
    """``a sign(w)`` with ``a = mean|w|`` over each group of n weights (equation 6); sign(0) is +1.

    Gradient (section 3.1, binarization of the gradients excluded): ``g_i (1 / n + a [|w_i| <= 1])``.
    """

    def quantize(self, x: Tensor) -> Tensor:
        """See the class."""
        through_mean = (x - x.detach()) * (self.num_groups / max(x.numel(), 1))
        return super().quantize(x) + (0.0 if self.frozen else through_mean)


@register(XNORSpec, Role.ACTIVATION)
class XNORActivation(MeasuredScale):
    """``b sign(x)`` with b the mean of ``|x|`` over the warm-up; sign(0) is +1.

    The paper scales each place of the input by its own mean (the map K of section 3.2) and reports that leaving K
    out costs little. One b for the whole tensor (or group) stands for it, so that the levels are the same in every
    image and integers can carry them. Gradient: ``b g [|x| <= 1]``.
    """
