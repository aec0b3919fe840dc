"""Transposed convolutions."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..functional.dequantize import dequantize
from ..functional.standardize import standardize
from .converted import ConvertedLayer
from .layer import QuantLayer
from .layer_map import LinearMap


class _ConvTranspose2dMap(LinearMap):
    # The weight is Tensor[C_in, C_out / groups, kh, kw].
    weight_axis = 1

    def further(self, output_size: list[int] | None = None) -> tuple[Any, ...]:
        return (output_size,)

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None, *extra: Any) -> Tensor:
        settings: Any = self
        output_padding = nn.ConvTranspose2d._output_padding(
            settings,
            x,
            extra[0],
            settings.stride,
            settings.padding,
            settings.kernel_size,
            2,
            settings.dilation,
        )
        return F.conv_transpose2d(
            x, weight, bias, settings.stride, settings.padding, output_padding, settings.groups, settings.dilation
        )

    def spread(self, values: Tensor, weight: Tensor) -> Tensor:
        if values.dim() == 0:
            return values
        # Output channel g * (C_out / groups) + j belongs to the weight's rows of group g and its column j.
        groups = int(getattr(self, "groups", 1))
        return values.view(groups, -1).repeat_interleave(weight.shape[0] // groups, 0)[..., None, None]

    def spread_inputs(self, values: Tensor, weight: Tensor) -> Tensor:
        return values.view(-1, *[1] * (weight.dim() - 1))

    def dequantized(self, codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        if int(getattr(self, "groups", 1)) == 1:
            return super().dequantized(codes, scale, zero_point)
        return dequantize(codes, self.spread(scale, codes), self.spread(zero_point, codes))

    def out_channels_of(self, weight: Tensor) -> int:
        return weight.shape[1] * int(getattr(self, "groups", 1))

    def in_channels_of(self, weight: Tensor) -> int:
        return weight.shape[0]

    def per_output(self, values: Tensor, weight: Tensor) -> Tensor:
        if values.dim() == 0:
            return values
        return values.repeat_interleave(weight.shape[1] // values.shape[0]).repeat(int(getattr(self, "groups", 1)))

    def standardized(self, weight: Tensor) -> Tensor:
        by_group = weight.unflatten(0, (int(getattr(self, "groups", 1)), -1)).transpose(1, 2)
        outputs_first = standardize(by_group.flatten(0, 1))
        return outputs_first.unflatten(0, by_group.shape[:2]).transpose(1, 2).flatten(0, 1)


class ConvertedConvTranspose2d(_ConvTranspose2dMap, ConvertedLayer):
    """A transposed convolution by integer weights."""


class QuantConvTranspose2d(_ConvTranspose2dMap, QuantLayer, nn.ConvTranspose2d):  # type: ignore[misc]
    """A transposed convolution with quantized weight and input: ``forward(x, output_size=None)``.

    Channels of the weight are output channels within a group: with several groups, those in the same place share
    their range.
    """

    converted_type = ConvertedConvTranspose2d
