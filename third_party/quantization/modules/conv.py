"""Convolutions: plain, grouped, depthwise."""

from typing import Any

from torch import Tensor, nn

from .converted import ConvertedLayer
from .layer import QuantLayer
from .layer_map import LinearMap


class _Conv2dMap(LinearMap):
    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None, *extra: Any) -> Tensor:
        return nn.Conv2d._conv_forward(self, x, weight, bias)  # type: ignore[arg-type]


class ConvertedConv2d(_Conv2dMap, ConvertedLayer):
    """A convolution by integer weights."""


class QuantConv2d(_Conv2dMap, QuantLayer, nn.Conv2d):  # type: ignore[misc]
    """A convolution with quantized weight and input: ``Tensor[N, C_in, H, W]`` -> ``Tensor[N, C_out, H', W']``.

    Channels of the weight are output channels, those of the input its channels; groups, as in depthwise
    convolutions, change nothing about that.
    """

    converted_type = ConvertedConv2d
