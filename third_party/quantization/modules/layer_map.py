"""How a layer's weight acts: shared by its trained and its integer form."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..functional.dequantize import dequantize
from ..functional.standardize import standardize


class LinearMap(nn.Module):
    """What a layer does with its weight: one subclass a kind of layer, for its trained and its integer form.

    Attributes:
        input_axis, weight_axis: the channels of the input, and of the weight as quantizers count them.
        input_scale: ``Tensor[C_in]`` by which the input is divided before it is quantized, and the weight multiplied;
            None for none. It comes with the state dict.
    """

    input_axis: ClassVar[int] = 1
    weight_axis: ClassVar[int] = 0

    input_scale: Tensor | None

    def set_input_scale(self, scale: Tensor | None) -> None:
        """Divide the input by one number a channel from now on; the weight makes up for it, so the map stays.

        Args:
            scale: not 0, ``Tensor[C_in]``, or None.
        """
        self.register_buffer("input_scale", None if scale is None else scale.detach().float().clone())

    def scaled_input(self, x: Tensor) -> Tensor:
        """The input over ``input_scale``."""
        if self.input_scale is None:
            return x
        shape = [1] * x.dim()
        shape[self.input_axis] = -1
        return x / self.input_scale.to(x.dtype).view(shape)

    def spread_inputs(self, values: Tensor, weight: Tensor) -> Tensor:
        """One value for each input channel (``Tensor[C_in]``), in a shape that multiplies ``weight``."""
        outputs, width = weight.shape[:2]
        by_group = values.view(-1, 1, width)
        return by_group.repeat(1, outputs // by_group.shape[0], 1).view(outputs, width, *[1] * (weight.dim() - 2))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        found = state_dict.get(f"{prefix}input_scale")
        if found is not None and self.input_scale is None:
            self.set_input_scale(torch.ones_like(found))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def further(self) -> tuple[Any, ...]:
        """Arguments of the layer behind its input, in order; layers that have some override this to take them."""
        return ()

    @abstractmethod
    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None, *extra: Any) -> Tensor:
        """The float layer's output for an input, a weight and a bias; ``extra`` as from :meth:`further`."""

    def spread(self, values: Tensor, weight: Tensor) -> Tensor:
        """One value, or one for each output channel (``Tensor[C_out]``), in a shape that multiplies ``weight``."""
        return values if values.dim() == 0 else values.view(-1, *[1] * (weight.dim() - 1))

    def dequantized(self, codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        """The weight, float32, that integers in its shape stand for.

        Args:
            codes: the integers.
            scale, zero_point: one value, or one for each output channel, ``Tensor[C_out]``.
        """
        return dequantize(codes, scale, zero_point, self.weight_axis)

    def out_channels_of(self, weight: Tensor) -> int:
        """Output channels of a layer with this weight."""
        return weight.shape[0]

    def in_channels_of(self, weight: Tensor) -> int:
        """Input channels of a layer with this weight."""
        return weight.shape[1] * int(getattr(self, "groups", 1))

    def per_output(self, values: Tensor, weight: Tensor) -> Tensor:
        """Values of a weight's ranges, ``Tensor[]`` or ``Tensor[G]``, as ``Tensor[]`` or ``Tensor[C_out]``."""
        return values if values.dim() == 0 else values.repeat_interleave(weight.shape[0] // values.shape[0])

    def standardized(self, weight: Tensor) -> Tensor:
        """The weight with every output channel at mean 0 and variance 1."""
        return standardize(weight)

    def scale_and_shift(self, y: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
        """``y * factor + shift`` for numbers of the output's channels, ``Tensor[C_out]``."""
        shape = [1] * y.dim()
        shape[self.input_axis] = -1
        return y * factor.to(y.dtype).view(shape) + shift.to(y.dtype).view(shape)
