"""Weights, biases and ranges tuned together."""

import copy
import logging

import pytest
import torch
from torch import nn

from third_party.quantization.modules import QuantLayer
from third_party.quantization.ptq.float_copy import float_copy
from third_party.quantization.ptq.tuning import TuningSettings, tune
from third_party.quantization.spec import Role
from third_party.quantization.transform import quantizers

from ..small import calibrated, chooser, error, float_output, images, separable

RATES = ("weight_rate", "range_rate", "bias_rate")


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model, before):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("batch_norm", ["float", "fold"])
def test_outputs_of_other_images_are_nearer(batch_norm):
    model = calibrated(separable(), 4, batch_norm=batch_norm)
    x = images(1, seed=5)[0]
    wanted = float_output(model, x)
    before = error(model, wanted, x)
    row = tune(model, images(8), reference=float_copy(model), settings=TuningSettings(iterations=200))
    assert error(model, wanted, x) < 0.7 * before
    assert row["layers"] == ["3"] and row["iterations"] == 200 and row["kept"] and row["lesson"] == []
    assert row["error"][1] < 0.7 * row["error"][0]


@pytest.mark.parametrize("rate", RATES)
def test_each_rate_moves_its_own(rate):
    model = calibrated(separable(), 4)
    others = {other: 0.0 for other in RATES if other != rate}
    before = state(model)
    tune(model, images(2), reference=float_copy(model), settings=TuningSettings(iterations=10, **others))
    kinds = {
        "weight_rate": {f"{i}.weight" for i in range(4)},
        "range_rate": {f"{i}.input_quantizer.scale" for i in range(4)},
        "bias_rate": {"0.norm.bias", "1.norm.bias", "2.norm.bias", "3.bias"},
    }
    assert changed(model, before) == kinds[rate]


def test_ranges_of_eight_bits_stay():
    model = calibrated(separable(), 8)
    before = state(model)
    tune(model, images(2), reference=float_copy(model), settings=TuningSettings(iterations=10))
    assert not any("quantizer" in name for name in changed(model, before))


def test_a_model_that_gets_no_better_stays_as_it_is(caplog):
    model = calibrated(separable(), 4)
    before = state(model)
    settings = TuningSettings(iterations=10, weight_rate=50.0, range_rate=2.0, warmup=0)
    with caplog.at_level(logging.WARNING):
        row = tune(model, images(2), reference=float_copy(model), settings=settings)
    assert not row["kept"] and row["error"][1] > row["error"][0] and not changed(model, before)
    assert "no better" in caplog.text


def test_a_loss_that_is_not_finite_ends_it(caplog):
    model = calibrated(separable(), 4)
    before, calls = state(model), []

    def lesson(quantized, batch, _found):
        calls.append(len(calls))
        return quantized(batch).mean() * (float("nan") if len(calls) > 9 else 1.0)

    with caplog.at_level(logging.WARNING):
        row = tune(model, images(2), reference=float_copy(model), settings=TuningSettings(iterations=10), lesson=lesson)
    assert row["iterations"] < 10 and not row["kept"] and not changed(model, before)
    assert len(row["lesson"]) == 1 and f"front of step {row['iterations'] + 1}" in caplog.text


def test_a_lesson_says_what_matters():
    plain = calibrated(separable(), 3)
    taught, x = copy.deepcopy(plain), torch.cat(images(8, seed=5))
    wanted = float_output(plain, x)

    def lesson(model, batch, found):
        return (model(batch) - found)[:, 0].square().mean()

    settings = TuningSettings(iterations=200, lesson=20.0)
    tune(plain, images(8), reference=float_copy(plain), settings=settings)
    row = tune(taught, images(8), reference=float_copy(taught), settings=settings, lesson=lesson)
    assert row["lesson"][1] < 0.8 * row["lesson"][0]
    with torch.no_grad():
        of_plain, of_taught = ((model(x) - wanted)[:, 0].square().mean() for model in (plain, taught))
    assert of_taught < 0.9 * of_plain


def test_several_batches_make_up_a_step():
    whole, parts = (calibrated(separable(), 4) for _ in range(2))
    batches = [images(1)[0][:1]] * 4  # the errors of parts are relative to their own size: here they are alike
    settings = TuningSettings(iterations=12, images=4)
    rows = [
        tune(whole, [torch.cat(batches)], reference=float_copy(whole), settings=settings),
        tune(parts, batches, reference=float_copy(parts), settings=settings),
    ]
    assert all(row["kept"] for row in rows) and rows[0]["error"] == pytest.approx(rows[1]["error"], rel=1e-2)
    start = separable()
    for i in range(4):
        moved = [model[i].weight - start[i].weight for model in (whole, parts)]
        assert moved[0].abs().max() > 0 and (moved[0].sign() == moved[1].sign()).float().mean() > 0.95


class Cuts(nn.Module):
    """A head that reads features apart from the rest in training, as heads with a second branch do."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)
        self.taught = False

    def forward(self, x):
        x = self.body(x).relu()
        return self.head(x.detach() if self.taught else x)


def test_layers_that_a_lesson_cuts_off_learn_from_a_run_of_their_own():
    torch.manual_seed(0)
    model = calibrated(Cuts(), 4).eval()

    def lesson(quantized, batch, found):
        quantized.taught = True
        loss = (quantized(batch) - found).square().mean()
        quantized.taught = False
        return loss

    before = state(model)
    settings = TuningSettings(iterations=20)
    row = tune(model, images(4), reference=float_copy(model), settings=settings, lesson=lesson)
    assert row["kept"] and {"body.weight", "body.bias", "head.weight"} <= changed(model, before)


def test_frozen_norms_and_layers_in_floating_point():
    model = separable()
    model[1].norm = FrozenNorm(8)
    calibrated(model, 4)
    model[2].weight_quantizer.set_enabled(False)
    model[2].input_quantizer.set_enabled(False)
    before = state(model)
    tune(model, images(4), reference=float_copy(model), settings=TuningSettings(iterations=50))
    moved = changed(model, before)
    assert "1.norm.bias" in moved and not any(name.startswith("2.") for name in moved)
    assert not model[1].norm.bias.requires_grad


class FrozenNorm(nn.Module):
    """Its bias is a buffer."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("bias", torch.linspace(-0.3, 0.3, channels))

    def forward(self, x):
        return x + self.bias.view(1, -1, 1, 1)


def test_the_model_can_be_trained_as_before_and_has_no_hooks():
    model = calibrated(separable(), 4)
    model[0].weight.requires_grad_(False)
    reference = float_copy(model)
    tune(model, images(2), reference=reference, settings=TuningSettings(iterations=2))
    switches = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert [name for name, on in switches.items() if not on] == ["0.weight"]
    assert not any(
        quantizer.scale.requires_grad for _, quantizer in quantizers(model) if quantizer.role is Role.ACTIVATION
    )
    layers = [layer for one in (model, reference) for layer in one.modules() if isinstance(layer, QuantLayer)]
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_fails_leaves_the_model_as_it_was():
    model = calibrated(separable(), 4)
    before, calls = state(model), []

    def lesson(quantized, batch, _found):
        calls.append(len(calls))
        if len(calls) > 5:
            raise RuntimeError("out of patience")
        return quantized(batch).square().mean()

    with pytest.raises(RuntimeError, match="out of patience"):
        tune(model, images(2), reference=float_copy(model), settings=TuningSettings(iterations=9), lesson=lesson)
    assert not changed(model, before) and all(p.grad is None for p in model.parameters())


def test_rows_that_the_model_chose_need_a_lesson():
    model = chooser()
    settings = TuningSettings(iterations=3)
    with pytest.raises(ValueError, match="nothing to compare.*lesson"):
        tune(model, images(2), reference=float_copy(model), settings=settings)
    found = []

    def lesson(quantized, batch, given):
        found.append(given.shape)
        return quantized(batch).square().mean()

    row = tune(model, images(2), reference=float_copy(model), settings=settings, lesson=lesson)
    assert row["layers"] == [] and row["error"] == [0.0, 0.0] and len(row["lesson"]) == 2 and found


def test_bad_calls():
    plain = separable()
    with pytest.raises(ValueError, match="nothing to tune"):
        tune(plain, images(1), reference=float_copy(plain), settings=TuningSettings(iterations=1))
    with pytest.raises(ValueError, match="no batch"):
        model = calibrated(separable(), 4)
        tune(model, [], reference=float_copy(model), settings=TuningSettings(iterations=1))
    model = calibrated(separable(), 4)
    with pytest.raises(ValueError, match="another model: it has no 3"):
        tune(model, images(1), reference=float_copy(model)[:3], settings=TuningSettings(iterations=1))
    assert not any(layer._forward_hooks for layer in model.modules() if isinstance(layer, QuantLayer))
    with pytest.raises(FloatingPointError, match="lesson's loss is nan"):
        tune(
            model,
            images(1),
            reference=float_copy(model),
            settings=TuningSettings(iterations=1),
            lesson=lambda quantized, batch, _: quantized(batch).mean() * float("nan"),
        )
    with pytest.raises(ValueError, match="float16: tune it in float32"):
        tune(model.half(), images(1), reference=float_copy(model), settings=TuningSettings(iterations=1))
    for field, value in {"iterations": -1, "images": 0, "weight_rate": -0.1, "lesson": float("nan")}.items():
        with pytest.raises(ValueError, match=field):
            TuningSettings(**{field: value})


def test_rates_rise_and_fall():
    settings = TuningSettings(iterations=100, warmup=9)
    factors = [settings.factor(i) for i in range(100)]
    assert factors[0] == pytest.approx(0.1) and max(factors) == max(factors[8:12]) > 0.95 and factors[-1] < 1e-3
