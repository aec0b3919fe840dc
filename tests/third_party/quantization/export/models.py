"""Small converted models, their programs and files, made once."""

import functools
import tempfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.export import image_sizes, to_onnx, trace
from third_party.quantization.spec import MinMaxSpec, Rule
from third_party.quantization.transform.ties import tie_ranges

from ..transform.models import Add, Concat, NormedConv

needs_onnx = pytest.mark.skipif(
    any(not __import__("importlib.util").util.find_spec(name) for name in ("onnx", "onnxscript")),
    reason="onnx and onnxscript are not installed",
)


class Everything(nn.Module):
    """Plain, grouped, depthwise and transposed convolutions, SiLU, a sum, a concatenation, pooling, upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = NormedConv(3, 8, 3, nn.ReLU(), stride=2)
        self.grouped = NormedConv(8, 8, 3, nn.SiLU(), groups=2)
        self.depthwise = NormedConv(8, 8, 3, groups=8)
        self.add = Add()
        self.pool = nn.MaxPool2d(2)
        self.deep = NormedConv(8, 8, 1, nn.SiLU())
        self.up = nn.Upsample(scale_factor=2)
        self.transposed = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.cat = Concat()
        self.last = nn.Conv2d(24, 6, 1)
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.grouped(self.stem(x))
        x = self.add(x, self.depthwise(x))
        deep = self.deep(self.pool(x))
        wide = self.transposed(deep)
        return self.head(self.last(self.cat([self.up(deep), x, wide])).relu()), wide


def config(weight_bits: int = 7, bits: int = 8, symmetric: bool = False, **settings) -> QuantConfig:
    """Ranges from data, one for each channel of the weights; activation functions are quantized, too."""
    weight = MinMaxSpec(bits=weight_bits, granularity="channel", initial_range="max")
    activation = MinMaxSpec(bits=bits, symmetric=symmetric, signed=True if symmetric else None, initial_range="max")
    parts = {"weight": weight, "activation": activation, "elementwise": activation, "nonlinear": activation}
    return QuantConfig(**parts | settings)


def converted(net: nn.Module, settings: QuantConfig, example: Tensor, tied: bool = True) -> nn.Module:
    """Prepare, calibrate on the example, convert; norms as after some training, negative factors among them."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    with torch.no_grad():
        for _ in range(20):
            net.train()(example)
        prepare(net, settings)
        if tied:
            tie_ranges(net, lambda: net.eval()(example))
        net.train()(example)
    convert(net.eval())
    return net


def images(batch: int = 2, height: int = 24, width: int = 32, seed: int = 0) -> Tensor:
    """``Tensor[batch, 3, height, width]``."""
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


SIZES = ({**image_sizes(4, smallest=8, largest=256)},)


@functools.cache
def everything(weight_bits: int = 7, bits: int = 8, symmetric: bool = False, tied: bool = True) -> nn.Module:
    """:class:`Everything`, converted."""
    torch.manual_seed(0)
    rules = (Rule(name="head", activation={"bits": 16}),) if bits == 8 and not symmetric else ()
    settings = {"rules": rules} | ({"nonlinear": None} if symmetric else {})
    return converted(Everything(), config(weight_bits, bits, symmetric, **settings), images(4), tied)


@functools.cache
def everything_traced(*args) -> ExportedProgram:
    """Its program; arguments as of :func:`everything`."""
    return trace(everything(*args), (images(),), SIZES)


@functools.cache
def everything_file(target: str, *args) -> Path:
    """Its file for a target; arguments as of :func:`everything`."""
    path = Path(_folder().name) / f"{target}_{'_'.join(map(str, args))}.onnx"
    return to_onnx(
        everything_traced(*args), path, input_names=["images"], output_names=["scores", "features"], target=target
    )


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


class Wrapped(nn.Module):
    """A function of modules, as a module."""

    def __init__(self, function, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *inputs: Tensor):
        return self.function(self, *inputs)
