"""Compensated rounding of whole networks."""

import copy

import pytest
import torch
from torch import nn

from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.modules import QuantLayer
from third_party.quantization.ptq.calibrate import calibrate
from third_party.quantization.ptq.rounding.compensation import compensate
from third_party.quantization.ptq.weight_ranges import folded_factor
from third_party.quantization.spec import AQDSpec, MinMaxSpec

from ..small import Chooses, calibrated, chooser, error, float_output, images, prepared, separable


@pytest.mark.parametrize("batch_norm", ["float", "fold"])
@pytest.mark.parametrize("bits", [3, 4])
def test_outputs_of_other_images_are_nearer(batch_norm, bits):
    model = calibrated(separable(), bits, batch_norm=batch_norm)
    for layer in model:
        layer.input_quantizer.set_enabled(False)  # rounded activations at 3 bits drown what weights do
    x = images(1, seed=5)[0]
    wanted = float_output(model, x)
    before = error(model, wanted, x)
    rows = compensate(model, images(8))
    assert error(model, wanted, x) < 0.7 * before
    assert [row["name"] for row in rows] == ["0", "1", "2", "3"]
    assert all(row["after"] <= row["before"] and row["after"] > -1e-6 for row in rows)
    assert all(row["after"] < row["before"] for row in rows[1:])


def test_rounded_activations_are_made_up_for():
    model = calibrated(separable(), 4)
    x = images(1, seed=5)[0]
    wanted = float_output(model, x)
    weights_alone, both = copy.deepcopy(model), model
    for layer in weights_alone:
        layer.input_quantizer.set_enabled(False)
    compensate(weights_alone, images(8))
    for layer in weights_alone:
        layer.input_quantizer.set_enabled(True)
    compensate(both, images(8))
    assert error(both, wanted, x) < error(weights_alone, wanted, x)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_steps_that_one_large_weight_made_too_long_shrink(granularity):
    model = separable()
    with torch.no_grad():
        model[2].weight[:, 0] = 1e-3
        model[2].weight[0, 1] = 3 * model[2].weight.abs().max()
        model[1].norm.weight[1] = 0.0
        model[1].norm.bias[1] = 0.0  # what the large weight reads is always zero
    calibrated(model, 3, granularity=granularity)
    before = model[2].weight_quantizer.step().clone()
    compensate(model, images(4))
    ratio = model[2].weight_quantizer.step() / before
    assert ratio.flatten()[0] < 0.7 and ratio.min() > 0.49 and ratio.max() < 1.11


def test_weights_are_at_their_levels_and_stay_there():
    model = calibrated(separable(), 4)
    compensate(model, images())
    for layer in model:
        weight = layer.prepared_weight(folded_factor(layer))
        torch.testing.assert_close(layer.weight_quantizer(weight), weight, rtol=1e-5, atol=1e-6)
        assert layer.weight_quantizer.frozen
    x = images(1, seed=5)[0]
    with torch.no_grad():
        open_output = model(x)
        convert(model)
        torch.testing.assert_close(model(x), open_output, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_channels_have_the_mean_they_had():
    model = calibrated(separable(nn.Identity), 3)
    batches = images(4)
    wanted = torch.cat([float_output(model, x) for x in batches]).mean((0, 2, 3))
    plain = copy.deepcopy(model)
    compensate(plain, batches, biases=False)
    compensate(model, batches)
    errors = [(torch.cat([m(x) for x in batches]).mean((0, 2, 3)) - wanted).abs().max() for m in (model, plain)]
    assert errors[0] < 1e-4 < errors[1]


@torch.no_grad()
@pytest.mark.parametrize("batch_norm", ["float", "fold"])
def test_norms_take_the_mean_error_in_their_own_unit(batch_norm):
    model = calibrated(separable(nn.Identity)[:1], 3, batch_norm=batch_norm)
    batches = images(4)
    wanted = torch.cat([float_output(model, x) for x in batches]).mean((0, 2, 3))
    compensate(model, batches)
    torch.testing.assert_close(torch.cat([model(x) for x in batches]).mean((0, 2, 3)), wanted, rtol=1e-4, atol=1e-4)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.up = nn.ConvTranspose2d(3, 2, 2)
        self.unused = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.up(self.shared(torch.relu(self.shared(x))))


def test_shared_layers_count_once_and_others_stay():
    torch.manual_seed(0)
    model = Twice().eval()
    weight = MinMaxSpec(bits=3, granularity="channel")
    prepare(model, QuantConfig(weight=weight, activation=MinMaxSpec(bits=8, symmetric=False)))
    calibrate(model, images(), "minmax")
    model.unused.input_quantizer.set_enabled(False)
    before = {name: layer.weight.clone() for name, layer in model.named_modules() if isinstance(layer, QuantLayer)}
    rows = compensate(model, images())
    assert [row["name"] for row in rows] == ["shared"]
    assert not torch.equal(model.shared.weight, before["shared"])
    assert torch.equal(model.up.weight, before["up"]) and torch.equal(model.unused.weight, before["unused"])


def test_interval_grids_have_levels_of_their_own():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    prepare(model, QuantConfig(weight=AQDSpec(bits=2, granularity="channel", grid="interval"), activation=None))
    compensate(model, images())
    levels = model[0].weight_quantizer.grid().levels()
    distance = (model[0].weight.flatten(1)[:, :, None] - levels[:, None, :]).abs().amin(2)
    assert distance.max() < 1e-6


@torch.no_grad()
def test_rows_that_the_model_chooses_are_not_paired_with_others():
    model = chooser()
    before = model.head.weight.clone()
    found = compensate(model, images(6))
    assert [row["name"] for row in found] == ["body", "head"]
    assert found[1]["after"] < 0.05
    assert (model.head.weight - before).norm() < 0.3 * before.norm()  # of unrelated rows next to nothing would be left


class Nothing(Chooses):
    def forward(self, x):
        return self.head(self.body(x).flatten(2).transpose(1, 2).flatten(0, 1)[:0])


def test_layers_without_rows_stay():
    torch.manual_seed(0)
    model = Nothing().eval()
    prepare(model, QuantConfig(weight=MinMaxSpec(bits=4, granularity="channel"), activation=None))
    assert [row["name"] for row in compensate(model, images())] == ["body"]


def test_data_and_ranges_that_are_missing_are_told():
    with pytest.raises(ValueError, match="calibration set is empty"):
        compensate(calibrated(separable()), [])
    with pytest.raises(ValueError, match="calibrate the model before.*0.input_quantizer"):
        compensate(prepared(separable()), images())


def test_inputs_that_are_not_finite_are_named():
    model = calibrated(separable(), 4)
    model[1].norm.weight.data[0] = float("inf")
    for layer in model:
        layer.input_quantizer.set_enabled(False)
    with pytest.raises(FloatingPointError, match="the input of 2 is not finite"):
        compensate(model, images())
