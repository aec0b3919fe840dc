"""Patches and moments against the layers themselves and sums over data."""

import pytest
import torch
from torch import nn

from third_party.quantization import QuantConfig, prepare
from third_party.quantization.ptq.rounding.input_moments import InputMoments, has_patches, patches

LAYERS = [
    (nn.Conv2d(4, 6, 3, stride=2, padding=1), (2, 4, 9, 7)),
    (nn.Conv2d(4, 8, (1, 3), padding=(0, 2), dilation=(1, 2), groups=2), (2, 4, 5, 7)),
    (nn.Conv2d(4, 4, 3, padding="same", groups=4), (1, 4, 5, 6)),
    (nn.Linear(5, 3), (2, 7, 5)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=repr)
@torch.no_grad()
def test_the_weight_times_patches_is_the_layer(layer, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    wanted = layer(x)
    axis = -1 if isinstance(layer, nn.Linear) else 1
    model = nn.Sequential(layer)
    prepare(model, QuantConfig(weight=None))
    assert has_patches(model[0])
    columns = patches(model[0], x)
    weight = model[0].weight.reshape(columns.shape[0], -1, columns.shape[1])
    found = (weight @ columns).flatten(0, 1) + model[0].bias[:, None]
    torch.testing.assert_close(found, wanted.movedim(axis, 0).flatten(1))


def test_other_layers_have_none():
    model = nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"))
    prepare(model, QuantConfig())
    assert not any(map(has_patches, model))


@pytest.mark.parametrize("centred", [False, True])
def test_moments_are_those_of_all_data(centred):
    generator = torch.Generator().manual_seed(0)
    q, f = (torch.randn(2, 3, 50, generator=generator) + 1 for _ in range(2))
    weight = torch.randn(2, 4, 3, generator=generator)
    found = InputMoments(weight, share=100)
    for part in (slice(0, 20), slice(20, 50)):
        found.add(q[:, :, part], f[:, :, part])
    if centred:
        q, f = q - q.mean(2, keepdim=True), f - f.mean(2, keepdim=True)
    q, f = q.double(), f.double()
    second, cross = found.second(centred=centred)
    close = {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(second, q @ q.mT / 50, **close)
    torch.testing.assert_close(cross, q @ f.mT / 50, **close)
    power = float((weight.double() @ f).square().sum() / 50)
    assert found.power(centred=centred) == pytest.approx(power, rel=1e-5)


def test_large_calls_are_sampled_at_the_same_places():
    x = torch.arange(300.0).view(1, 1, 300)
    found = InputMoments(torch.ones(1, 1, 1), share=40)
    found.add(x, 2 * x)
    assert found.count == 40
    second, cross = found.second(centred=False)
    torch.testing.assert_close(cross, 2 * second)
    mean, doubled = found.means()
    torch.testing.assert_close(doubled, 2 * mean)
    assert 100 < float(mean) < 200


def test_small_variances_beside_large_means_are_kept():
    generator = torch.Generator().manual_seed(0)
    x = 1000 + 0.01 * torch.randn(1, 2, 500, generator=generator)
    found = InputMoments(torch.ones(1, 1, 2), share=1000)
    found.add(x[:, :, :200], x[:, :, :200])
    found.add(x[:, :, 200:], x[:, :, 200:])
    second, _ = found.second(centred=True)
    wanted = torch.cov(x[0].double(), correction=0)
    torch.testing.assert_close(second[0], wanted, rtol=1e-2, atol=1e-8)
