"""The expected gain of an input scale is the measured one."""

import pytest
import torch
from torch import nn

from third_party.quantization.ptq.calibrate import calibrate
from third_party.quantization.ptq.collect import collect
from third_party.quantization.ptq.migration import migrate_scales
from third_party.quantization.ptq.migration_gain import best_scale

from .small import float_output, prepared


def _layer(unevenness, batch_norm="float"):
    """A dense layer whose input channels have widths from ``1 / unevenness`` to 1, with weights to match."""
    torch.manual_seed(0)
    width = torch.logspace(0, -1, 16) ** torch.tensor(unevenness).log10()
    layer = nn.Conv2d(16, 8, 3, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.div_(width.view(1, -1, 1, 1))
    norm = nn.BatchNorm2d(8)
    with torch.no_grad():
        norm.weight.uniform_(0.1, 3.0)
    model = prepared(nn.Sequential(layer, norm), batch_norm=batch_norm)
    return model, [torch.randn(4, 16, 12, 12) * width.view(1, -1, 1, 1) for _ in range(2)]


def _error(model, batches):
    errors = []
    for x in batches:
        expected = float_output(model, x)
        with torch.no_grad():
            errors.append(float((model(x) - expected).square().mean()))
    return sum(errors)


@pytest.mark.parametrize("batch_norm", ["float", "fold"])
def test_the_gain_is_what_is_measured(batch_norm):
    model, batches = _layer(30.0, batch_norm)
    calibrate(model, batches, "minmax")
    before = _error(model, batches)
    (found,) = collect(model, batches).values()
    scale, gain = best_scale(model[0], found.channel_minimum.float(), found.channel_maximum.float())
    assert scale.max() == 1 and scale.min() > 0 and gain > 8
    rows = migrate_scales(model, collect(model, batches))
    assert [row["name"] for row in rows] == ["0"]
    torch.testing.assert_close(model[0].input_scale, scale)
    calibrate(model, batches, "minmax")
    assert before / _error(model, batches) == pytest.approx(gain, rel=0.6)


def test_even_channels_stay():
    model, batches = _layer(1.01)
    calibrate(model, batches, "minmax")
    (found,) = collect(model, batches).values()
    assert 1 <= best_scale(model[0], found.channel_minimum.float(), found.channel_maximum.float())[1] < 2
    assert migrate_scales(model, collect(model, batches)) == []
