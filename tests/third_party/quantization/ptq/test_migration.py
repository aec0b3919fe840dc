"""Scales of activations in the weights of the next layer."""

import copy

import pytest
import torch
from torch import nn

from third_party.quantization import convert
from third_party.quantization.modules import QuantConv2d, QuantConvTranspose2d, QuantLinear
from third_party.quantization.ptq.calibrate import set_ranges
from third_party.quantization.ptq.collect import collect
from third_party.quantization.ptq.migration import migrate_scales, turned_widths, widths
from third_party.quantization.ptq.scale_search import SHARES, refine_scales
from third_party.quantization.transform.ties import tie_ranges

from .small import calibrated, error, float_output, images, prepared, separable

LAYERS = [
    (QuantConv2d, nn.Conv2d(6, 8, 3, padding=1), (2, 6, 5, 5)),
    (QuantConv2d, nn.Conv2d(6, 4, 3, groups=2), (2, 6, 5, 5)),
    (QuantConv2d, nn.Conv2d(6, 12, 3, groups=6), (2, 6, 5, 5)),
    (QuantConvTranspose2d, nn.ConvTranspose2d(6, 8, 2, groups=2), (2, 6, 5, 5)),
    (QuantLinear, nn.Linear(6, 4), (3, 6)),
]


@pytest.mark.parametrize(("kind", "layer", "shape"), LAYERS)
def test_an_input_scale_keeps_the_map(kind, layer, shape):
    x, expected_layer = torch.randn(shape), copy.deepcopy(layer)
    quantized = kind.from_float(layer, None, None)
    quantized.set_input_scale(torch.tensor([0.01, -3.0, 0.5, 1.0, 20.0, -0.2]))
    torch.testing.assert_close(quantized(x), expected_layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("function", "turned"), [(widths, False), (turned_widths, True)])
def test_scaled_channels_touch_an_end_of_the_range(function, turned):
    low = torch.tensor([-0.28, -0.2, 0.0, -0.28])
    high = torch.tensor([100.0, 1.0, 0.0, 0.01])
    scale = function(low, high, spare=0.1)
    assert (scale < 0).tolist() == [False, False, False, turned] and scale[2] == 1
    ends = torch.stack([low / scale, high / scale])
    bottom, top = ends.amin(0), ends.amax(0)
    torch.testing.assert_close(
        top[[0, 1, 3]], torch.tensor([100.0, 50.0, 100.0 if turned else 0.357]), atol=1e-2, rtol=0
    )
    torch.testing.assert_close(
        bottom[[0, 1, 3]], torch.tensor([-0.28, -10.0, -3.57 if turned else -10.0]), atol=1e-2, rtol=0
    )


@pytest.mark.parametrize("batch_norm", ["float", "fold"])
def test_uneven_depthwise_inputs_are_found_and_become_more_exact(batch_norm):
    x = images()[0]
    model = calibrated(separable(), batch_norm=batch_norm)
    reference = float_output(model, x)
    before = error(model, reference, x)
    rows = migrate_scales(model, collect(model, images()))
    assert [row["name"] for row in rows] == ["1"] and rows[0]["unevenness"] > 4
    torch.testing.assert_close(float_output(model, x), reference, rtol=1e-3, atol=1e-4)
    set_ranges(model, collect(model, images()), "minmax")
    assert error(model, reference, x) < 0.3 * before


def test_dense_layers_are_migrated_by_name_with_the_formula():
    model = calibrated(separable())
    statistics = collect(model, images())
    found = statistics["2.input_quantizer"]
    reach = torch.maximum(
        found.channel_maximum / found.channel_maximum.max(),
        -found.channel_minimum / max(-found.channel_minimum.min(), 0.1 * found.channel_maximum.max()),
    )
    weight = model[2].weight.detach().abs().amax((0, 2, 3))
    expected = reach.sqrt() / weight.sqrt()
    migrate_scales(model, statistics, names=["2"])
    torch.testing.assert_close(model[2].input_scale, expected / expected.max(), rtol=1e-4, atol=1e-6)
    assert model[1].input_scale is None


def test_the_scale_is_in_checkpoints_and_in_converted_models():
    x = images()[0]
    model = calibrated(separable())
    migrate_scales(model, collect(model, images()))
    set_ranges(model, collect(model, images()), "minmax")
    with torch.no_grad():
        expected = model(x)
        fresh = prepared(separable())
        fresh.load_state_dict(model.state_dict())
        torch.testing.assert_close(fresh(x), expected, rtol=0, atol=0)
        convert(model)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def test_a_tied_quantizer_is_left_to_the_others():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.left = separable()[0], separable()[1]
            self.right = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            x = self.stem(x)
            return self.left(x) + self.right(x)

    model = calibrated(Branches())
    for name in ("left", "right"):
        getattr(model, name).input_quantizer.reset_range()
    assert tie_ranges(model, lambda: model(images()[0])) == [("left.input_quantizer", "right.input_quantizer")]
    migrate_scales(model, collect(model, images()))
    assert model.left.input_quantizer is not model.right.input_quantizer


def test_a_name_without_a_layer_is_an_error():
    model = calibrated(separable())
    with pytest.raises(ValueError, match="'9' matches no layer"):
        migrate_scales(model, collect(model, images()), names=["9"])


def test_channels_are_clipped_where_the_output_is_best():
    model = calibrated(separable(), bits=4)
    migrate_scales(model, collect(model, images()))
    set_ranges(model, collect(model, images()), "minmax")
    layer, start = model[1], model[1].input_scale.clone()
    brute = copy.deepcopy(layer)
    assert refine_scales(model, images()) == ["1"]
    with torch.no_grad():
        inputs = [float_output(model[0], x) for x in images()]
        exact = [float_output(brute, x) for x in inputs]
        channel, errors = 3, []
        for share in SHARES:
            scale = start.clone()
            scale[channel] *= share
            brute.set_input_scale(scale)
            brute.weight_quantizer.reset_range()
            parts = zip(inputs, exact, strict=True)
            errors.append(sum(float((brute(x) - y)[:, channel].square().sum()) for x, y in parts))
    best = SHARES[errors.index(min(errors))]
    assert float(layer.input_scale[channel] / start[channel]) == pytest.approx(best, rel=1e-5)
