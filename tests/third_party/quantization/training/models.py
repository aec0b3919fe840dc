"""Small quantized models and the loop that trains them."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from third_party.quantization.modules.conv import QuantConv2d
from third_party.quantization.modules.linear import QuantLinear
from third_party.quantization.quantizers import Quantizer, build_quantizer
from third_party.quantization.spec import LSQSpec, QuantSpec, Role


def float_net() -> nn.Sequential:
    """Two convolutions, batch norm between them, and a linear layer: Tensor[N, 3, 6, 6] -> Tensor[N, 2]."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 4, 3, bias=False),
            bn=nn.BatchNorm2d(4),
            relu=nn.ReLU(),
            conv2=nn.Conv2d(4, 4, 3),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(4, 2),
        )
    )


def quantized_net(bits: int = 4, last_bits: int = 8, seed: int = 0) -> nn.Sequential:
    """:func:`float_net` with LSQ quantizers on weights and inputs."""
    torch.manual_seed(seed)
    net = float_net()
    weight, activation = LSQSpec(bits=bits, granularity="channel"), LSQSpec(bits=bits)
    net.conv1 = QuantConv2d.from_float(net.conv1, weight, activation)
    net.conv2 = QuantConv2d.from_float(net.conv2, weight, activation)
    net.fc = QuantLinear.from_float(net.fc, LSQSpec(bits=last_bits), LSQSpec(bits=last_bits))
    return net


def image_batch(iteration: int, size: int = 4) -> Tensor:
    return torch.randn(size, 3, 6, 6, generator=torch.Generator().manual_seed(iteration))


class OneWeight(nn.Module):
    """A layer that is nothing but a quantized weight."""

    def __init__(self, weight: Tensor, spec: QuantSpec | None = None, step: float | Tensor = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        spec = spec or LSQSpec(bits=4)
        self.weight_quantizer = build_quantizer(spec, Role.WEIGHT, weight.shape[0])
        self.weight_quantizer(self.weight)
        with torch.no_grad():
            self.weight_quantizer.scale.copy_(torch.as_tensor(step))

    def forward(self) -> Tensor:
        return self.weight_quantizer(self.weight)


def holder(**layers: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict(layers)


def quantizer_of(model: nn.Module, name: str) -> Quantizer:
    found = model.get_submodule(name)
    assert isinstance(found, Quantizer)
    return found
