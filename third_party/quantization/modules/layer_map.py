"""How a layer's weight acts: shared by its trained and its integer form."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from ..functional.dequantize import dequantize
from ..functional.standardize import standardize


class LinearMap(nn.Module):
    """What a layer does with its weight: one subclass a kind of layer, for its trained and its integer form.

    Attributes:
        input_axis, weight_axis: the channels of the input, and of the weight as quantizers count them.
    """

    input_axis: ClassVar[int] = 1
    weight_axis: ClassVar[int] = 0

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
