"""What all layers with integer weights share."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..grids.grid import Grid
from .adopt import adopt
from .layer_map import LinearMap
from .norms import running_affine, split_norm

if TYPE_CHECKING:
    from .layer import QuantLayer


class ConvertedLayer(LinearMap):
    """A layer that holds its weight as integers, and computes in float what they stand for.

    Made from a quantized layer, whose output in evaluation it gives. A batch norm in float goes into scale and bias;
    the integers stay as trained, and a negative factor of the norm is in the sign of the scale. Norms of other kinds,
    and batch norm in fixed point, stay behind the layer.

    Attributes:
        weight_codes: the integers, in the shape of the weight and the narrowest type that holds them.
        weight_scale: what one unit of them stands for, ``Tensor[]`` or ``Tensor[C_out]``; its sign may be negative.
        weight_zero_point: int32, in the shape of the weight's ranges; subtracted from the integers first.
        bias: ``Tensor[C_out]`` or None.
        weight_bits: bits that an integer needs.
        weight_text: how the weight was quantized, for a table.
    """

    weight_codes: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor
    bias: Tensor | None

    @torch.no_grad()
    def __init__(self, layer: "QuantLayer") -> None:
        """
        Args:
            layer: the quantized layer, see :func:`conversion_refusal`; gives up its parts.
        """
        nn.Module.__init__(self)
        adopt(self, layer)
        quantizer, fold = layer.weight_quantizer, layer.options.batch_norm == "fold"
        assert quantizer is not None
        batch_norm, rest = split_norm(layer.norm)
        if layer.fixed_point is not None:
            batch_norm, rest = None, ()
        factor, shift = (
            (None, None) if batch_norm is None else running_affine(batch_norm, layer.out_channels_of(layer.weight))
        )
        weight = layer.prepared_weight(factor if fold else None)
        quantizer(weight)  # takes its range from the weight if it has none yet
        grid, codes = quantizer.grid(), quantizer.integers(weight)
        assert grid.scale is not None and grid.zero_point is not None
        scale, zero_point = (layer.per_output(values, weight) for values in (grid.scale, grid.zero_point))
        bias = layer.bias
        if factor is not None and shift is not None:
            scale = scale if fold else scale * factor
            bias = shift if bias is None else shift + bias * factor
            self.norm = nn.Sequential(*rest) if rest else None
        self._hold(codes.to(grid.code_dtype), scale, zero_point, bias)
        self.weight_bits, self.weight_text = quantizer.bits, quantizer.extra_repr()
        if self.input_quantizer is not None:
            self.input_quantizer.set_frozen(True)

    def _hold(self, codes: Tensor, scale: Tensor, zero_point: Tensor, bias: Tensor | None) -> None:
        for name in ("weight", "bias"):
            self._parameters.pop(name, None)
            self.__dict__.pop(name, None)
        del self.weight_quantizer
        values = {"weight_codes": codes, "weight_scale": scale, "weight_zero_point": zero_point, "bias": bias}
        for name, value in values.items():
            self.register_buffer(name, None if value is None else value.detach().clone())

    @property
    def weight(self) -> Tensor:
        """The weight that the integers stand for, float32."""
        codes = self.weight_codes.int()
        zero_point, scale = (self.spread(values, codes) for values in (self.weight_zero_point, self.weight_scale))
        return (codes - zero_point).float() * scale

    def forward(self, x: Tensor, *extra: Any) -> Tensor:
        """As the quantized layer in evaluation."""
        step = self._accumulator_scale()
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        norm, rest = (None, (self.norm,)) if self.fixed_point is None else split_norm(self.norm)
        weight = self.weight.to(x.dtype)
        if norm is None:
            y = self.apply_weight(x, weight, None if self.bias is None else self.bias.to(x.dtype), *extra)
        else:
            factor, shift = running_affine(norm, self.out_channels_of(weight))
            shift = shift if self.bias is None else shift + self.bias * factor
            y = self.apply_weight(x, weight, None, *extra)
            y = self.scale_and_shift(y, *self.fixed_point(factor, shift, step))
        for module in rest:
            y = y if module is None else module(y)
        return y if self.activation is None else self.activation(y)

    def _accumulator_scale(self) -> Tensor | None:
        quantizer = self.input_quantizer
        if self.fixed_point is None or quantizer is None or not quantizer.enabled:
            return None
        grid: Grid = quantizer.grid()
        if not grid.exact or grid.scale is None or grid.scale.dim() > 0:
            return None
        return grid.scale * self.weight_scale

    def extra_repr(self) -> str:
        return f"{tuple(self.weight_codes.shape)}, {self.weight_text}"
