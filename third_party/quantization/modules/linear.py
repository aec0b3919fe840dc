"""Linear layers."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .converted import ConvertedLayer
from .layer import QuantLayer
from .layer_map import LinearMap


class _LinearMapping(LinearMap):
    input_axis = -1

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None, *extra: Any) -> Tensor:
        return F.linear(x, weight, bias)


class ConvertedLinear(_LinearMapping, ConvertedLayer):
    """A linear layer by integer weights."""


class QuantLinear(_LinearMapping, QuantLayer, nn.Linear):  # type: ignore[misc]
    """A linear layer with quantized weight and input: ``Tensor[..., C_in]`` -> ``Tensor[..., C_out]``."""

    converted_type = ConvertedLinear
