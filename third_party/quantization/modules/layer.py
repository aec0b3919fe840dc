"""What all quantized layers with weights share."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from ..quantizers.quantizer import Quantizer
from ..quantizers.registry import build_quantizer
from ..spec.quant_spec import QuantSpec
from ..spec.roles import Role
from .adopt import adopt, type_names
from .fixed_point_norm import FixedPointBatchNorm
from .layer_map import LinearMap
from .nonlinear import QuantNonlinear, as_nonlinear
from .norm_forward import fixed_point_forward, folded_forward
from .norms import split_norm
from .options import LayerOptions


class QuantLayer(LinearMap):
    """A layer whose weight and input are quantized; otherwise the float layer it was made from.

    It keeps that layer's settings, parameters (the same objects, under the same names), norm and activation. Padding
    is exact: zeros are put around the *quantized* input. Grids with a zero-point have them as a code; the interval
    grid (odd codes, no level at zero) has the integer 0 between its codes. Levels that are a list without zero are
    trained with the same zeros, but stay out of an integer model.

    Attributes:
        input_quantizer: None leaves the input as it is.
        weight_quantizer: None leaves the weight as it is.
        options: what becomes of a batch norm, and whether weights are standardised.
        fixed_point: the arithmetic of a batch norm in fixed point, or None.
        float_type_names: names of the float layer's class and its bases.
    """

    converted_type: ClassVar[type[nn.Module]]

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        layer: nn.Module,
        input_quantizer: Quantizer | None = None,
        weight_quantizer: Quantizer | None = None,
        *,
        norm: nn.Module | None = None,
        activation: Callable[[Tensor], Tensor] | None = None,
        batch_norm: str = "float",
        standardize: bool = False,
    ) -> None:
        """
        Args:
            layer: the float layer; it gives up its parts and should not be used any more.
            input_quantizer, weight_quantizer: None: no quantization.
            norm, activation: applied to the output, in this order; those that ``layer`` carries if None.
            batch_norm, standardize: as in :class:`LayerOptions`.
        """
        nn.Module.__init__(self)
        adopt(self, layer)
        self.float_type_names = type_names(layer)
        self.options = LayerOptions(batch_norm, standardize)
        self.set_input_scale(None)
        self.norm = norm if norm is not None else getattr(layer, "norm", None)
        self.activation = activation if activation is not None else getattr(layer, "activation", None)
        self.input_quantizer = _like(input_quantizer, self)
        self.weight_quantizer = _like(weight_quantizer, self)
        fixed = batch_norm == "fixed_point" and split_norm(self.norm)[0] is not None
        self.fixed_point = FixedPointBatchNorm() if fixed else None

    @classmethod
    def from_float(
        cls,
        layer: nn.Module,
        weight: QuantSpec | None,
        activation: QuantSpec | None,
        options: LayerOptions | None = None,
    ) -> "QuantLayer":
        """Make the quantized form of a layer.

        Args:
            layer: the float layer.
            weight, activation: how its weight and its input are quantized; None: not at all.
            options: batch norm and standardisation.

        Raises:
            ValueError: a spec does not suit its role or the number of channels.
        """
        options = options or LayerOptions()
        made = cls(layer, batch_norm=options.batch_norm, standardize=options.standardize)
        if weight is not None:
            channels = made.weight.shape[cls.weight_axis]
            made.weight_quantizer = _like(build_quantizer(weight, Role.WEIGHT, channels, cls.weight_axis), made)
        if activation is not None:
            channels = made.in_channels_of(made.weight)
            made.input_quantizer = _like(build_quantizer(activation, Role.ACTIVATION, channels, cls.input_axis), made)
        return made

    def quantize_activation(self, spec: QuantSpec) -> None:
        """Let the activation function read quantized values, if it is one that needs that; ReLU only clips.

        Raises:
            ValueError: a spec that does not suit activations, or has several ranges.
        """
        function = as_nonlinear(self.activation)
        if function is not None:
            self.activation = QuantNonlinear.from_float(function, None, spec).to(self.weight.device)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """As the float layer, with quantized input and weight."""
        extra = self.further(*args, **kwargs)
        x = self.scaled_input(x)
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        batch_norm, rest = split_norm(self.norm)
        if batch_norm is not None and self.options.batch_norm == "fold":
            y = folded_forward(self, batch_norm, x, extra)
        elif batch_norm is not None and self.fixed_point is not None:
            y = fixed_point_forward(self, self.fixed_point, batch_norm, x, extra)
        else:
            y = self.apply_weight(x, self.quantized_weight(), self.bias, *extra)
            rest = () if self.norm is None else (self.norm,)
        for module in rest:
            y = module(y)
        return y if self.activation is None else self.activation(y)

    def quantized_weight(self, factor: Tensor | None = None) -> Tensor:
        """The weight as the layer uses it.

        Args:
            factor: multiplies the output channels before quantization, ``Tensor[C_out]``.
        """
        weight = self.prepared_weight(factor)
        return weight if self.weight_quantizer is None else self.weight_quantizer(weight)

    def prepared_weight(self, factor: Tensor | None = None) -> Tensor:
        """What the weight's quantizer gets: the weight, standardised if asked for, times ``factor`` and input scale."""
        weight = self.standardized(self.weight) if self.options.standardize else self.weight
        if self.input_scale is not None:
            weight = weight * self.spread_inputs(self.input_scale, weight)
        return weight if factor is None else weight * self.spread(factor, weight)

    def accumulator_scale(self) -> Tensor | None:
        """The unit in which integers of input and weight add up, ``Tensor[]`` or ``Tensor[C_out]``.

        None where there is no such unit: a tensor that is not quantized, uneven levels, inputs with several scales.
        """
        scales = [_unit(quantizer) for quantizer in (self.input_quantizer, self.weight_quantizer)]
        if scales[0] is None or scales[1] is None or scales[0].dim() > 0:
            return None
        return scales[0] * self.per_output(scales[1], self.weight)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.options == LayerOptions() else f"{text}, {self.options}".removeprefix(", ")


def _like(quantizer: Quantizer | None, layer: QuantLayer) -> Quantizer | None:
    """The quantizer in the mode and on the device of the layer; its numbers stay float32."""
    return None if quantizer is None else quantizer.to(layer.weight.device).train(layer.training)


def _unit(quantizer: Quantizer | None) -> Tensor | None:
    if quantizer is None or not quantizer.enabled or not quantizer.initialized:
        return None
    return quantizer.grid().scale
