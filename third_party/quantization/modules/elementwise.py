"""Steps that bring tensors together: all of them on one scale.

Steps that only choose among values, as max pooling, nearest upsampling, flattening and padding by copies do, need no
quantizer: their output takes the levels of their input. They stay as they are
(``transform.register_pass_through``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..quantizers.quantizer import Quantizer
from ..quantizers.registry import build_quantizer
from ..spec.quant_spec import QuantSpec
from ..spec.roles import Role
from .adopt import adopt, type_names
from .options import LayerOptions


def quantize_together(quantizer: Quantizer, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Quantize tensors on one grid; while its range still comes from data, from all of them at once."""
    if quantizer.wants_data():
        quantizer.observe(torch.cat([x.flatten() for x in tensors]))
        return [quantizer.quantize(x) if quantizer.initialized else x for x in tensors]  # empty ones set no range
    return [quantizer(x) for x in tensors]


class QuantElementwise(nn.Module):
    """An element-wise step whose inputs share ``input_quantizer``."""

    def __init__(self, layer: nn.Module, input_quantizer: Quantizer | None = None) -> None:
        """
        Args:
            layer: the float module.
            input_quantizer: with one range for the whole tensor; None: no quantization.

        Raises:
            ValueError: a quantizer with several ranges, which branches of different channels cannot share.
        """
        super().__init__()
        adopt(self, layer)
        self.float_type_names = type_names(layer)
        if input_quantizer is not None and input_quantizer.axis is not None:
            granularity = input_quantizer.spec.granularity
            raise ValueError(f"an element-wise layer needs granularity 'tensor', got {granularity!r}")
        self.input_quantizer = None if input_quantizer is None else input_quantizer.train(layer.training)

    @classmethod
    def from_float(
        cls,
        layer: nn.Module,
        weight: QuantSpec | None,
        activation: QuantSpec | None,
        options: LayerOptions | None = None,
    ) -> "QuantElementwise":
        """Make the quantized form of a step; ``weight`` and ``options`` mean nothing here.

        Raises:
            ValueError: a spec that does not suit activations, or has several ranges.
        """
        quantizer = None if activation is None else build_quantizer(activation, Role.ACTIVATION, 1, 1)
        return cls(layer, quantizer)

    def _quantized(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return list(tensors) if self.input_quantizer is None else quantize_together(self.input_quantizer, tensors)


class QuantAdd(QuantElementwise):
    """Sum of two tensors on one scale. It never works in place: what it adds are copies, its inputs stay."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The sum of both, quantized, as ``a + b`` broadcasts."""
        a, b = self._quantized([a, b])
        return a + b


class QuantConcat(QuantElementwise):
    """Tensors joined along ``dim`` on one scale.

    Takes the attribute ``dim`` (or ``d``) of the module that it is made from; 1, the channels, if there is none.
    """

    def forward(self, tensors: Sequence[Tensor]) -> Tensor:
        """All of them, quantized, joined along ``dim``."""
        dim = int(getattr(self, "dim", getattr(self, "d", 1)))
        return torch.cat(self._quantized(tensors), dim)
