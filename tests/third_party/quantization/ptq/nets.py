"""A small network with branches, an in-place activation, a shared layer and a list between modules."""

import torch
from torch import Tensor, nn

from third_party.quantization import QuantConfig, prepare
from third_party.quantization.quantizers.quantizer import Quantizer
from third_party.quantization.spec import MinMaxSpec


class Levels(nn.Module):
    """Gives a list of two sizes, which the network appends to."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, x[..., ::2, ::2]]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU(inplace=True))
        self.left = nn.Conv2d(4, 4, 3, padding=1)
        self.right = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1))
        self.levels = Levels()
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
        self.unused = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.left(x) + self.right(x)
        levels = self.levels(x)
        levels.append(x.mean((2, 3), keepdim=True).expand_as(x))
        return sum(self.head(level).square().mean() * (i + 1) for i, level in enumerate(levels))


def prepared_net(bits: int = 4, seed: int = 0) -> tuple[nn.Module, list[Tensor]]:
    """The network with ranges, in evaluation mode, and two batches."""
    torch.manual_seed(seed)
    model = Net().eval()
    with torch.no_grad():
        model.stem[1].running_mean.uniform_(-0.3, 0.3)
    spec = MinMaxSpec(bits=bits, symmetric=False)
    prepare(model, QuantConfig(weight=MinMaxSpec(bits=bits, granularity="channel"), activation=spec, elementwise=spec))
    batches = [torch.randn(2, 3, 8, 8) for _ in range(2)]
    quantizers = [m for m in model.modules() if isinstance(m, Quantizer)]
    for quantizer in quantizers:
        quantizer.training = True
    with torch.no_grad():
        model(batches[0])
        model.unused(torch.randn(1, 4, 8, 8))
    model.eval()
    return model, batches


def loss(model: nn.Module, batch: Tensor) -> float:
    return float(model(batch))
