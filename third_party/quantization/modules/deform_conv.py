"""Deformable convolutions, plain and modulated."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .converted import ConvertedLayer
from .layer import QuantLayer
from .layer_map import LinearMap


class _DeformConvMap(LinearMap):
    def further(self, offset: Tensor, mask: Tensor | None = None) -> tuple[Any, ...]:  # type: ignore[override]
        return offset, mask

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None, *extra: Any) -> Tensor:
        settings: Any = self
        if x.numel() == 0:
            # the operator refuses to compute nothing; this has the same shape and graph
            groups = x.shape[1] // weight.shape[1]
            return F.conv2d(x, weight, bias, settings.stride, settings.padding, settings.dilation, groups)
        from torchvision.ops import deform_conv2d

        offset, mask = extra
        return deform_conv2d(x, offset, weight, bias, settings.stride, settings.padding, settings.dilation, mask)


class ConvertedDeformConv(_DeformConvMap, ConvertedLayer):
    """A deformable convolution by integer weights."""


class QuantDeformConv(_DeformConvMap, QuantLayer):
    """A deformable convolution with quantized weight and input: ``forward(x, offset)`` or ``(x, offset, mask)``.

    Offsets and masks stay in float, and so do the samples between pixels: they lie between levels. Made from any
    layer that has ``weight``, ``bias``, ``stride``, ``padding``, ``dilation`` and ``groups``.
    """

    converted_type = ConvertedDeformConv
