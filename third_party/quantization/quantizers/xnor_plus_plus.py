"""XNOR-Net++ (arXiv 1909.13863): signs times a learned scale."""

from typing import Any

import torch
from torch import Tensor, nn

from ..functional.rounding import positive
from ..grids.levels import SMALLEST_STEP
from ..spec import XNORPlusPlusSpec
from .binary import BinaryQuantizer
from .registry import register


@register(XNORPlusPlusSpec)
class XNORPlusPlus(BinaryQuantizer):
    """``a sign(x)`` with a learned by the task's loss, one a group: the paper's case of one scale an output channel.

    Gradients: of a ``sum g sign(x)`` over its group, of x ``a g [|x| <= 1]``. The scale starts at the mean magnitude.
    The paper multiplies a convolution's output by its scale; multiplying the weight by it gives the same output.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = nn.Parameter(torch.ones(self.group_shape()))

    def current_scale(self, x: Tensor) -> Tensor:
        """The parameter, kept positive."""
        return positive(self.scale, SMALLEST_STEP)
