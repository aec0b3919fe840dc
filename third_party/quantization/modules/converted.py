"""What all layers with integer weights share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..quantizers.quantizer import Quantizer
from .adopt import adopt
from .fixed_point_norm import FixedPointBatchNorm
from .layer_map import LinearMap
from .norms import running_affine, split_norm

if TYPE_CHECKING:
    from .layer import QuantLayer

_FIXED_POINT = ("norm_multiplier", "norm_exponent", "norm_bias", "norm_step")


class ConvertedLayer(LinearMap):
    """A layer that holds its weight as integers, and computes in float what they stand for.

    Made from a quantized layer, whose output in evaluation it gives. A batch norm in float goes into scale and bias;
    the integers stay as trained, and a negative factor of the norm is in the sign of the scale. Batch norm in fixed
    point becomes integers, too. Norms of other kinds stay behind the layer.

    Attributes:
        weight_codes: the integers, in the shape of the weight and the narrowest type that holds them.
        weight_scale: what one unit of them stands for, ``Tensor[]`` or ``Tensor[C_out]``; its sign may be negative.
        weight_zero_point: int32, in the shape of ``weight_scale`` before batch norm; subtracted from the integers.
        bias: ``Tensor[C_out]`` or None.
        norm_multiplier, norm_exponent, norm_bias: with batch norm in fixed point its integers c, d and b, each
            ``Tensor[C_out]``: a sum k of products of integers becomes ``(c * k + b) / 2**d``; None without.
        norm_step: what a unit of k stands for, ``Tensor[]`` or ``Tensor[C_out]``; None where there is no such unit.
        weight_bits: bits that an integer needs.
        weight_text: how the weight was quantized, for a table.
    """

    weight_codes: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor
    bias: Tensor | None
    norm_multiplier: Tensor | None
    norm_exponent: Tensor | None
    norm_bias: Tensor | None
    norm_step: Tensor | None
    norm: nn.Module | None
    activation: Callable[[Tensor], Tensor] | None
    input_quantizer: Quantizer | None

    @torch.no_grad()
    def __init__(self, layer: "QuantLayer") -> None:
        """
        Args:
            layer: the quantized layer, whose weight is on a grid of equal steps; gives up its parts.
        """
        nn.Module.__init__(self)
        adopt(self, layer)
        quantizer, options = layer.weight_quantizer, layer.options
        assert quantizer is not None
        batch_norm, rest = split_norm(layer.norm)
        factor, shift = _affine_of(layer, batch_norm)
        weight = layer.prepared_weight(factor if options.batch_norm == "fold" else None)
        quantizer(weight)  # takes its range from the weight if it has none yet
        grid, codes = quantizer.grid(), quantizer.integers(weight)
        assert grid.scale is not None and grid.zero_point is not None
        scale, zero_point = (layer.per_output(values, weight) for values in (grid.scale, grid.zero_point))
        values: dict[str, Tensor | None] = dict.fromkeys(_FIXED_POINT)
        bias: Tensor | None = layer.bias
        if factor is not None and shift is not None:
            total = shift if bias is None else shift + bias * factor
            if layer.fixed_point is not None:
                step = layer.accumulator_scale()
                values = dict(zip(_FIXED_POINT, (*layer.fixed_point.integers(factor, total, step), step), strict=True))
                bias = None
            else:
                scale, bias = scale if options.batch_norm == "fold" else scale * factor, total
            self.norm = nn.Sequential(*rest) if rest else None
        values |= {"weight_codes": codes.to(grid.code_dtype), "weight_scale": scale, "weight_zero_point": zero_point}
        self._hold(values | {"bias": bias})
        self.weight_bits, self.weight_text = quantizer.bits, quantizer.extra_repr()
        if self.input_quantizer is not None:
            self.input_quantizer.set_frozen(True)

    def _hold(self, values: dict[str, Tensor | None]) -> None:
        """Replace the float parameters by buffers."""
        for name in ("weight", "bias"):
            self._parameters.pop(name, None)
            self.__dict__.pop(name, None)
        del self.weight_quantizer, self.fixed_point
        for name, value in values.items():
            self.register_buffer(name, None if value is None else value.detach().clone())

    @property
    def weight(self) -> Tensor:
        """The weight that the integers stand for, float32."""
        return self.dequantized(self.weight_codes, self.weight_scale, self.weight_zero_point)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """As the quantized layer in evaluation."""
        extra = self.further(*args, **kwargs)
        x = self.scaled_input(x)
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        weight, bias = self.weight, self.bias
        if x.dtype != weight.dtype:  # asked first, for a traced graph would keep a cast that changes nothing
            weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        y = self.apply_weight(x, weight, bias, *extra)
        if self.norm_multiplier is not None and self.norm_exponent is not None and self.norm_bias is not None:
            integers = (self.norm_multiplier, self.norm_exponent, self.norm_bias)
            y = self.scale_and_shift(y, *FixedPointBatchNorm.values(*integers, self.norm_step))
        if self.norm is not None:
            y = self.norm(y)
        return y if self.activation is None else self.activation(y)

    def absorb(self, factor: Tensor, shift: Tensor) -> None:
        """Let scale and bias do what ``y * factor + shift`` would do behind the layer, both ``Tensor[C_out]``."""
        assert self.norm_multiplier is None, "a factor behind integer arithmetic would not be part of it"
        self.weight_scale = self.weight_scale * factor
        self.bias = shift.detach().clone() if self.bias is None else shift + self.bias * factor

    def extra_repr(self) -> str:
        return f"{tuple(self.weight_codes.shape)}, {self.weight_text}"


def _affine_of(layer: "QuantLayer", norm: nn.Module | None) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if norm is None else running_affine(norm, layer.out_channels_of(layer.weight))
