"""Small prepared networks for the steps that change weights."""

import torch
from torch import Tensor, nn

from tests.third_party.quantization.transform.models import NormedConv
from third_party.quantization import QuantConfig, prepare
from third_party.quantization.ptq.calibrate import calibrate
from third_party.quantization.spec import MinMaxSpec
from third_party.quantization.transform import quantizers


def separable(activation: type[nn.Module] = nn.SiLU) -> nn.Sequential:
    """A stem whose channels have very different ranges, a depthwise and a pointwise convolution, a head."""
    torch.manual_seed(0)
    stem, depthwise = NormedConv(3, 8, 3, activation()), NormedConv(8, 8, 3, activation(), groups=8)
    model = nn.Sequential(stem, depthwise, NormedConv(8, 6, 1, activation()), nn.Conv2d(6, 4, 1))
    with torch.no_grad():
        for layer in (stem, depthwise, model[2]):
            layer.norm.running_mean.uniform_(-0.2, 0.2)
            layer.norm.running_var.uniform_(0.5, 2)
            layer.norm.weight.uniform_(0.5, 1.5)
            layer.norm.bias.uniform_(-0.5, 0.5)
        stem.norm.weight[:2] *= 40
        depthwise.weight[:2] /= 40
    return model.eval()


def images(count: int = 2, seed: int = 1) -> list[Tensor]:
    """Batches of four images of 12 x 12."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 3, 12, 12, generator=generator) for _ in range(count)]


def prepared(model: nn.Module, bits: int = 8, granularity: str = "channel", batch_norm: str = "float") -> nn.Module:
    """The model with quantizers that observe minima and maxima."""
    weight, activation = MinMaxSpec(bits=bits, granularity=granularity), MinMaxSpec(bits=bits, symmetric=False)
    prepare(model, QuantConfig(weight=weight, activation=activation, elementwise=activation, batch_norm=batch_norm))
    return model


def calibrated(model: nn.Module, bits: int = 8, granularity: str = "channel", batch_norm: str = "float") -> nn.Module:
    """:func:`prepared`, with ranges of :func:`images`."""
    prepared(model, bits, granularity, batch_norm)
    calibrate(model, images(), "minmax")
    with torch.no_grad():
        model(images()[0])  # ranges of weights
    return model


def float_output(model: nn.Module, x: Tensor) -> Tensor:
    """What the model gives with its quantizers off."""
    found = [quantizer for _, quantizer in quantizers(model)]
    for quantizer in found:
        quantizer.set_enabled(False)
    with torch.no_grad():
        y = model(x).clone()
    for quantizer in found:
        quantizer.set_enabled(True)
    return y


def error(model: nn.Module, reference: Tensor, x: Tensor) -> float:
    """Mean squared error of the quantized output."""
    with torch.no_grad():
        return float((model(x) - reference).square().mean())


class Chooses(nn.Module):
    """The rows of the head are the places of the largest values, others once anything is rounded."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.body(x).flatten(2).transpose(1, 2).flatten(0, 1)
        return self.head(rows[rows[:, 0].argsort(descending=True)[: 30 * len(x)]])


def chooser(bits: int = 4) -> nn.Module:
    """A :class:`Chooses`, calibrated."""
    torch.manual_seed(0)
    model = Chooses().eval()
    weight = MinMaxSpec(bits=bits, granularity="channel")
    prepare(model, QuantConfig(weight=weight, activation=MinMaxSpec(bits=bits, symmetric=False)))
    calibrate(model, images(), "minmax")
    return model
