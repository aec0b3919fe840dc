"""Small models with every kind of layer."""

import torch
from torch import Tensor, nn

from third_party.quantization import QuantConfig
from third_party.quantization.modules import QuantAdd, QuantConcat
from third_party.quantization.spec import LSQSpec
from third_party.quantization.transform import register_converter


class Add(nn.Module):
    """A sum, as a module."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Concat(nn.Module):
    """A concatenation of channels, as a module."""

    dim = 1

    def forward(self, tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors, self.dim)


register_converter(Add, QuantAdd.from_float, kind="elementwise")
register_converter(Concat, QuantConcat.from_float, kind="elementwise")


class NormedConv(nn.Conv2d):
    """A convolution that carries its norm and activation."""

    def __init__(self, cin: int, cout: int, kernel: int, activation: nn.Module | None = None, **kwargs: int) -> None:
        super().__init__(cin, cout, kernel, padding=kernel // 2, bias=False, **kwargs)
        self.norm = nn.BatchNorm2d(cout)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(super().forward(x))
        return x if self.activation is None else self.activation(x)


def _from_float(layer, weight, activation, options):
    from third_party.quantization.modules import QuantConv2d

    return QuantConv2d.from_float(layer, weight, activation, options)


register_converter(NormedConv, _from_float)


class Net(nn.Module):
    """Plain, normed, depthwise, transposed and linear layers, a sum, a concatenation, max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = NormedConv(3, 8, 3, nn.ReLU())
        self.depthwise = NormedConv(8, 8, 3, groups=8)
        self.add = Add()
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.cat = Concat()
        self.head = nn.Conv2d(12, 6, 1)
        self.classifier = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.add(x, self.depthwise(x))
        x = self.cat([self.up(self.pool(x)), x])
        return self.classifier(self.head(x).mean((2, 3)))


LAYERS = ("stem", "depthwise", "add", "up", "cat", "head", "classifier")


def make_net() -> Net:
    """The same numbers every time, with norms as after some training: negative factors among them."""
    torch.manual_seed(0)
    net = Net()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return net


def config(bits: int = 4, granularity: str | int = "channel", **settings) -> QuantConfig:
    """LSQ everywhere."""
    weight = LSQSpec(bits=bits, granularity=granularity)
    return QuantConfig(
        **{"weight": weight, "activation": LSQSpec(bits=bits), "elementwise": LSQSpec(bits=8)} | settings
    )


def images(seed: int = 0) -> Tensor:
    """``Tensor[2, 3, 8, 8]``."""
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
