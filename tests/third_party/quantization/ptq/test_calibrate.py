"""Calibration of whole models: what is gathered, which ranges follow, and what is refused."""

import math

import pytest
import torch
from torch import nn

from tests.third_party.quantization.transform.test_ties import SPEC, Split, images, make, tie
from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.ptq.calibrate import calibrate, set_ranges
from third_party.quantization.ptq.collect import collect
from third_party.quantization.ptq.observers import OBSERVERS
from third_party.quantization.ptq.ranges import compare_observers, range_table
from third_party.quantization.spec import DoReFaSpec, ImageSpec, LQNetSpec, LSQSpec, MinMaxSpec, Rule
from third_party.quantization.transform import quantizers

BATCHES = [images(seed) for seed in range(3)]


def reading(model, name):
    """What a module's input quantizer reads in floating point, all batches together."""
    float_model, seen = Split(), []
    float_model.load_state_dict(
        {key: value for key, value in model.state_dict().items() if "quantizer" not in key}, strict=True
    )
    module = float_model.eval().get_submodule(name)
    module.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    with torch.no_grad():
        for batch in BATCHES:
            float_model(batch)
    return torch.cat([x.flatten() for x in seen])


@pytest.mark.parametrize("name", ["enter", "inner", "leave", "head", "alone"])
def test_statistics_are_those_of_the_float_model(name):
    net = make()
    found = collect(net, BATCHES)[f"{name}.input_quantizer"]
    x = reading(net, name)
    assert (found.count, found.batches) == (x.numel(), len(BATCHES))
    assert (found.minimum, found.maximum) == (x.min().item(), x.max().item())
    bins = torch.floor(x / found.width).long() + len(found.histogram) // 2
    assert torch.equal(found.histogram, torch.bincount(bins, minlength=len(found.histogram)).double())


def test_a_tensor_that_is_read_twice_counts_once():
    net = make()
    tie(net)
    found = collect(net, BATCHES)
    assert set(found) == {f"{name}.input_quantizer" for name in ("enter", "inner", "head", "alone")}
    # Both halves of the map that is split, and both what is added to one and the sum, each once: what the
    # concatenation joins is not counted again behind it.
    assert found["inner.input_quantizer"].count == 4 * reading(net, "inner").numel()


def test_the_model_is_left_as_it_was():
    net = make().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    collect(net, BATCHES)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in net.modules())


def test_weights_can_be_quantized_meanwhile():
    net = make(QuantConfig(weight=MinMaxSpec(bits=2), activation=SPEC, elementwise=SPEC))
    name = "alone.input_quantizer"
    assert collect(net, BATCHES, quantize_weights=True)[name].maximum != collect(net, BATCHES)[name].maximum


def test_bounds_of_activation_functions():
    found = collect(make(), BATCHES)
    assert found["inner.input_quantizer"].lower_bound == pytest.approx(-0.27846454)
    assert found["head.input_quantizer"].lower_bound == 0.0
    assert found["alone.input_quantizer"].lower_bound is found["leave.input_quantizer"].lower_bound is None


@pytest.mark.parametrize("observer", OBSERVERS)
def test_rows_describe_what_was_done(observer):
    net = make()
    report = calibrate(net, BATCHES, observer)
    assert {row["name"] for row in report.rows} == {n.rpartition(".")[0] for n, _ in quantizers(net) if "input" in n}
    assert report.batches == 3 and report.unreached == ()
    rows = {row["name"]: row for row in report.rows}
    for name in ("enter", "inner", "leave", "head"):
        row, quantizer = rows[name], net.get_submodule(name).input_quantizer
        x = reading(net, name)
        levels = quantizer.eval().grid().levels()
        assert (row["bottom"], row["top"]) == pytest.approx((levels[0].item(), levels[-1].item()), rel=1e-5, abs=1e-7)
        error = (quantizer(x) - x).double().square().mean().item()
        assert row["mse"] == pytest.approx(error, rel=0.1)
        assert row["sqnr"] == pytest.approx(10 * math.log10(x.double().square().mean().item() / error), abs=0.5)
        half = (levels[1] - levels[0]) / 2
        beyond = ((x < levels[0] - half) | (x > levels[-1] + half)).double().mean().item()
        assert row["share_clipped"] == pytest.approx(beyond, abs=5e-3)
        assert row["observer"] == observer and name in str(report)


def test_calibrated_models_predict_and_convert():
    net, float_net = make(), make()
    tie(net)
    calibrate(net, BATCHES, "mse")
    with torch.no_grad():
        for _, quantizer in quantizers(float_net):
            quantizer.set_enabled(False)
        expected = float_net(images(9))
        quantized = net(images(9))
        convert(net)
        converted = net(images(9))
    for a, b, c in zip(expected, quantized, converted, strict=True):
        assert (a - b).square().mean() < 2e-3 * a.square().mean()
        assert (b - c).abs().mean() < 0.01 * b.abs().mean()


def test_observers_by_layer():
    net = make()
    tie(net)
    rows = {
        row["name"]: row for row in calibrate(net, BATCHES, {"*": "minmax", "add": "mse", "he*": "percentile"}).rows
    }
    assert [rows[name]["observer"] for name in ("enter", "inner", "head")] == ["minmax", "mse", "percentile"]
    assert rows["inner"]["shared_with"] == ["add", "concat", "leave"]


def test_calibrating_again_forgets_the_first_time():
    symmetric = QuantConfig(weight=MinMaxSpec(granularity="channel"), activation=LSQSpec(), elementwise=SPEC)
    net, fresh = make(symmetric), make(symmetric)
    calibrate(net, [-batch for batch in BATCHES], "minmax")
    rows = calibrate(net, [batch.abs() for batch in BATCHES], "minmax").rows
    assert rows == calibrate(fresh, [batch.abs() for batch in BATCHES], "minmax").rows
    assert not net.enter.input_quantizer.signed


def test_observers_side_by_side():
    net = make()
    found = collect(net, BATCHES)
    quantizer = net.inner.input_quantizer
    rows = compare_observers(found["inner.input_quantizer"], quantizer, name="inner")
    assert [row["observer"] for row in rows] == list(OBSERVERS)
    assert not quantizer.initialized
    best = min(rows, key=lambda row: row["mse"])
    assert next(row for row in rows if row["observer"] == "mse")["mse"] <= 1.01 * best["mse"]
    assert len(range_table(rows)) == len(rows) + 1
    for row in rows:
        assert set_ranges(net, found, row["observer"])[1]["mse"] == row["mse"]


def test_fixed_ranges_and_layers_without_data():
    rules = (
        Rule(name="enter", activation=vars(ImageSpec(mean=(0.0,) * 3, std=(1.0,) * 3)) | {"method": "image"}),
        Rule(name="head", activation={"method": "dorefa", "symmetric": True}),
    )
    net = nn.Module()
    net.enter, net.head, net.unused = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
    net.forward = lambda x: net.head(net.enter(x))
    prepare(net, QuantConfig(activation=SPEC, rules=rules))
    report = calibrate(net.eval(), BATCHES)
    assert [(row["name"], row["observer"]) for row in report.rows] == [("head", "fixed")]
    assert isinstance(net.head.input_quantizer.spec, DoReFaSpec) and net.head.input_quantizer.signed
    assert report.unreached == ("unused",)
    assert "no data reached unused" in str(report)


def broken():
    yield BATCHES[0]
    raise OSError("truncated file")


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (([],), ValueError, "the calibration set is empty"),
        ((broken(),), ValueError, "calibration batch 2 cannot be read: truncated file"),
        ((BATCHES, "mes"), ValueError, "observer must be one of .*; got 'mes'. Did you mean mse"),
        ((BATCHES, {"inne": "mse"}), ValueError, "observer mse for 'inne' matches no layer"),
    ],
)
def test_refusals(arguments, error, message):
    net = make()
    with pytest.raises(error, match=message):
        calibrate(net, *arguments)
    assert not any(quantizer.initialized for _, quantizer in quantizers(net))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_names_layer_and_batch(bad):
    net = make()
    images_with = BATCHES[1].clone()
    images_with[1, 2, 3, 4] = bad
    with pytest.raises(
        FloatingPointError, match="activations that enter reads are NaN or infinite in calibration batch 2"
    ):
        calibrate(net, [BATCHES[0], images_with])
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_models_that_cannot_be_calibrated():
    with pytest.raises(ValueError, match="Split has no quantizers of activations to calibrate"):
        calibrate(Split().eval(), BATCHES)
    net = make(QuantConfig(activation=LQNetSpec(), elementwise=None))
    with pytest.raises(ValueError, match="methods with equally spaced levels.*enter"):
        calibrate(net, BATCHES)
    other = make()
    with pytest.raises(ValueError, match="of another model: this one has no quantizer 'x.input_quantizer'"):
        set_ranges(other, {"x.input_quantizer": collect(other, BATCHES)["inner.input_quantizer"]})
