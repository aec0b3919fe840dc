"""Batch norms beside converted layers go into their scales and biases."""

import pytest
import torch
from torch import Tensor, nn

from third_party.quantization import convert, prepare, register_norm_pair
from third_party.quantization.modules import ConvertedLayer
from third_party.quantization.transform import norm_pairs

from .models import config, images


class Block(nn.Module):
    """Convolution, norm and activation as children."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act = nn.SiLU()
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


def converted_and_before(net: nn.Module) -> tuple[Tensor, Tensor]:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    prepare(net, config())
    net(images())
    net.eval()
    before = net(images(1))
    report = convert(net)
    assert convert(net) == report
    return net(images(1)), before


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norm_pairs, "NORM_PAIRS", {})


@pytest.mark.parametrize("bias", (True, False))
def test_neighbours_in_a_sequence(bias):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=bias),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 2, groups=2),
        nn.BatchNorm2d(6),
    )
    after, before = converted_and_before(net)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert isinstance(net[1], nn.Identity) and isinstance(net[4], nn.Identity) and isinstance(net[0], ConvertedLayer)
    assert net[3].weight_scale.shape == (6,) and net[3].bias.shape == (6,)


def test_registered_pairs(pairs):
    torch.manual_seed(0)
    net = nn.Sequential(Block())
    after, before = converted_and_before(net)
    assert torch.equal(after, before) and isinstance(net[0].bn, nn.BatchNorm2d)
    register_norm_pair(Block, "conv", "bn")
    register_norm_pair(Block, "conv", "bn")
    assert norm_pairs.NORM_PAIRS == {Block: (("conv", "bn"),)}
    net = nn.Sequential(Block())
    after, before = converted_and_before(net)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert isinstance(net[0].bn, nn.Identity)


@pytest.mark.parametrize("shared", ("layer", "norm"))
def test_what_other_parts_use_stays(shared):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    second = [conv, nn.BatchNorm2d(3)] if shared == "layer" else [nn.ReLU(), norm]
    net = nn.Sequential(nn.Sequential(conv, norm), nn.Sequential(*second))
    after, before = converted_and_before(net)
    assert torch.equal(after, before) and not any(isinstance(module, nn.Identity) for module in net.modules())


def test_other_neighbours_stay():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4), nn.Flatten(2), nn.Linear(64, 4), nn.BatchNorm1d(4))
    after, before = converted_and_before(net)
    assert torch.equal(after, before) and isinstance(net[1], nn.GroupNorm) and isinstance(net[4], nn.BatchNorm1d)
