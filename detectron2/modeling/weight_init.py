"""Initial weights of convolutions and linear layers in the models of this package."""

from torch import nn


def c2_msra_fill(module: nn.Module) -> None:
    """Normal weights of variance 2 / fan_out, zero bias (He et al., "Delving Deep into Rectifiers", eq. 14)."""
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    _zero_bias(module)


def c2_xavier_fill(module: nn.Module) -> None:
    """Uniform weights of variance 1 / fan_in, zero bias: the form of Glorot's rule that the published models use."""
    nn.init.kaiming_uniform_(module.weight, a=1)
    _zero_bias(module)


def normal_fill(module: nn.Module, std: float) -> None:
    """Normal weights of standard deviation ``std``, zero bias."""
    nn.init.normal_(module.weight, std=std)
    _zero_bias(module)


def _zero_bias(module: nn.Module) -> None:
    if module.bias is not None:
        nn.init.zeros_(module.bias)
