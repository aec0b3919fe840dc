"""What an optimizer remembers of parameters."""

from collections.abc import Iterable

from torch import nn
from torch.optim import Optimizer

from .layers import QuantizedTensor


def forget(optimizer: Optimizer | None, parameters: Iterable[nn.Parameter]) -> None:
    """Drop momentum and other running statistics of parameters, as if they had never been updated."""
    if optimizer is not None:
        for parameter in parameters:
            optimizer.state.pop(parameter, None)


def parameters_of(tensor: QuantizedTensor) -> list[nn.Parameter]:
    """A quantizer's own parameters and the weight of its layer."""
    own = list(tensor.quantizer.parameters(recurse=False))
    return own if tensor.weight is None else [*own, tensor.weight]
