import pytest
import torch

from third_party.quantization.spec import DoReFaSpec
from third_party.quantization.training.layers import quantized_weights
from third_party.quantization.training.prox import ProxQuant

from .models import OneWeight, holder


def test_share_grows_linearly():
    prox = ProxQuant([], 10, 20)
    assert [prox.share(i) for i in (0, 10, 11, 15, 20, 99)] == [0.0, 0.0, 0.1, 0.5, 1.0, 1.0]


def test_is_the_proximal_operator():
    """w + p (Q - w) minimises |x - w|^2 / 2 + l/2 |x - Q|^2 with l = p / (1 - p): compared by search."""
    weight = torch.tensor([0.3, -1.4, 2.6])
    layer = OneWeight(weight)
    levels = layer().detach()
    ProxQuant(quantized_weights(holder(layer=layer)), 0, 10).after_step(4)
    strength = 0.4 / 0.6
    grid = torch.linspace(-3, 4, 70001)[:, None]
    cost = (grid - weight).square() / 2 + strength / 2 * (grid - levels).square()
    assert torch.allclose(layer.weight.detach(), grid[cost.argmin(0), 0], atol=2e-4)
    assert torch.allclose(layer.weight.detach(), (weight + strength * levels) / (1 + strength))


def test_ends_on_the_levels_and_starts_with_nothing():
    torch.manual_seed(0)
    layer = OneWeight(torch.randn(50) * 3)
    start = layer.weight.detach().clone()
    levels = layer().detach()
    prox = ProxQuant(quantized_weights(holder(layer=layer)), 2, 5)
    for iteration in (0, 1, 2):
        prox.after_step(iteration)
        assert torch.equal(layer.weight, start)
    layer.weight_quantizer.set_enabled(False)
    prox.after_step(5)
    assert torch.equal(layer.weight, start)
    layer.weight_quantizer.set_enabled(True)
    prox.after_step(5)
    assert torch.equal(layer.weight, levels)


def test_weights_off_the_grid_are_refused():
    weights = quantized_weights(holder(bent=OneWeight(torch.randn(2, 2), DoReFaSpec(bits=4))))
    with pytest.raises(ValueError, match="prox.*bent"):
        ProxQuant(weights, 0, 1)
