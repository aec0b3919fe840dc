"""Post-training quantization from end to end, on a small network."""

import copy
import json

import pytest
import torch
from torch import nn

from tests.third_party.quantization.ptq.nets import Net
from third_party.quantization.modules import ConvertedConv2d
from third_party.quantization.ptq.pipeline import post_training_quantize
from third_party.quantization.ptq.recipe import PTQRecipe
from third_party.quantization.ptq.recipe_parts import (
    ActivationSettings,
    LayerChoice,
    ReconstructionSettings,
    StepSettings,
    WeightSettings,
)
from third_party.quantization.ptq.tuning import TuningSettings
from third_party.quantization.transform import quantizers


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 8, 8, generator=generator) for _ in range(3)]


def _error(model, net, batches):
    with torch.no_grad():
        return sum(float((model(b) - net(b)).abs() / net(b).abs()) for b in batches) / len(batches)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_model_computes_nearly_the_same_with_integers(net, batches, bits):
    model = copy.deepcopy(net)
    recipe = PTQRecipe(WeightSettings(bits=bits), ActivationSettings(bits=bits))
    result = post_training_quantize(model, recipe, batches)
    assert _error(model, net, batches) < {8: 0.03, 16: 2e-4}[bits]
    assert sum(isinstance(module, ConvertedConv2d) for module in model.modules()) == 6
    assert all(quantizer.frozen for _, quantizer in quantizers(model))
    names = ["prepare", "tie", "statistics", "migrate", "ranges", "correct biases", "convert"]
    assert [step["step"] for step in result.steps] == names
    plain = json.loads(json.dumps(result.to_dict()))
    assert PTQRecipe.from_mapping(plain["recipe"]) == recipe and len(plain["ranges"]) >= 5
    assert "unused" in plain["warnings"][0]  # no data reach it


def test_a_model_that_is_not_converted_can_be_loaded_again(net, batches):
    model, recipe = copy.deepcopy(net), PTQRecipe()
    post_training_quantize(model, recipe, batches, convert_model=False)
    other = copy.deepcopy(net)
    from third_party.quantization import prepare

    prepare(other, recipe.quant_config())
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval()(batches[0]), model(batches[0]))


def test_weights_alone(net, batches):
    model = copy.deepcopy(net)
    recipe = PTQRecipe(activations=ActivationSettings(enabled=False, elementwise=False))
    result = post_training_quantize(model, recipe, batches)
    assert result.ranges == [] and 0 < _error(model, net, batches) < 0.02


def test_observers_by_layer(net, batches):
    recipe = PTQRecipe().with_layers(LayerChoice("right.2", observer="minmax"))
    result = post_training_quantize(copy.deepcopy(net), recipe, batches)
    chosen = {row["name"]: row["observer"] for row in result.ranges}
    assert chosen["right.2"] == "minmax" and chosen["head.2"] == "mse"


def test_learned_rounding_helps_at_low_width(net, batches):
    plain, learned = copy.deepcopy(net), copy.deepcopy(net)
    low = {"weights": WeightSettings(bits=3), "steps": StepSettings(bias_correction=False)}
    post_training_quantize(plain, PTQRecipe(**low), batches)
    settings = ReconstructionSettings(enabled=True, method="adaround", iterations=60, drop=0.0)
    result = post_training_quantize(learned, PTQRecipe(reconstruction=settings, **low), batches)
    assert "reconstruct" in [step["step"] for step in result.steps]
    assert _error(learned, net, batches) < _error(plain, net, batches)


@pytest.mark.parametrize("biases", [False, True])
def test_compensated_rounding_is_a_step_and_leaves_no_bias_to_correct(net, batches, biases):
    plain, fitted = copy.deepcopy(net), copy.deepcopy(net)
    low = {"weights": WeightSettings(bits=3), "steps": StepSettings(bias_correction=biases)}
    post_training_quantize(plain, PTQRecipe(**low), batches)
    settings = ReconstructionSettings(enabled=True, method="gptq")
    result = post_training_quantize(fitted, PTQRecipe(reconstruction=settings, **low), batches)
    steps = {step["step"]: step for step in result.steps}
    assert steps["reconstruct"]["layers"] and "correct biases" not in steps
    assert _error(fitted, net, batches) < _error(plain, net, batches)


@pytest.mark.parametrize("rounding", ["gptq", "adaround", None])
def test_tuning_is_the_last_step_and_what_it_moved_is_said(net, batches, rounding):
    plain, tuned = copy.deepcopy(net), copy.deepcopy(net)
    settings = ReconstructionSettings(enabled=rounding is not None, method=rounding or "gptq", iterations=5)
    low = {"weights": WeightSettings(bits=4), "activations": ActivationSettings(bits=4), "reconstruction": settings}
    before = post_training_quantize(plain, PTQRecipe(**low), batches)
    result = post_training_quantize(tuned, PTQRecipe(tuning=TuningSettings(iterations=100), **low), batches)
    assert [step["step"] for step in result.steps][-2:] == ["tune", "convert"]
    row = result.steps[-2]
    assert row["kept"] and row["layers"] == ["head.2"] and row["error"][1] < 0.8 * row["error"][0]
    learned = [row for row in result.ranges if row["observer"] == "learned"]
    assert len(learned) > len(result.ranges) / 2
    if rounding is None:
        assert not any(row["observer"] == "learned" for row in before.ranges)
    ends = {row["name"]: (row["bottom"], row["top"]) for row in result.histograms}
    assert all(ends[row["name"]] == (row["bottom"], row["top"]) for row in learned)


@pytest.fixture
def uneven():
    torch.manual_seed(0)
    depthwise = nn.Conv2d(8, 8, 3, groups=8)
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.SiLU(), depthwise, nn.SiLU(), nn.Conv2d(8, 4, 1)).eval()
    with torch.no_grad():
        model[0].weight[0] *= 30
    return model


def test_every_range_is_known_after_the_last_step(uneven, batches):
    recipe = PTQRecipe(steps=StepSettings(bias_correction=False))
    open_model, converted = copy.deepcopy(uneven), copy.deepcopy(uneven)
    post_training_quantize(open_model, recipe, batches, convert_model=False)
    post_training_quantize(converted, recipe, batches)
    torch.testing.assert_close(open_model(batches[0]), converted(batches[0]))


def test_usual_steps_in_their_order(uneven, batches):
    model = uneven
    plain, usual = copy.deepcopy(model), copy.deepcopy(model)
    none = StepSettings(migrate=False, bias_correction=False)
    post_training_quantize(plain, PTQRecipe(steps=none), batches)
    result = post_training_quantize(usual, PTQRecipe(), batches)
    names = ["prepare", "tie", "statistics", "migrate", "ranges", "refine", "correct biases", "convert"]
    assert [step["step"] for step in result.steps] == names
    assert result.steps[3]["layers"][0]["name"] == "2"
    with torch.no_grad():
        errors = [sum(float((m(b) - model(b)).square().mean()) for b in batches) for m in (usual, plain)]
    assert errors[0] < 0.5 * errors[1]


def test_bad_data_leaves_the_model_in_float(net, batches):
    names = {type(module) for module in net.modules()}
    with pytest.raises(ValueError, match="the calibration set is empty"):
        post_training_quantize(net, PTQRecipe(), [])
    with pytest.raises(ValueError, match="iterable several times"):
        post_training_quantize(net, PTQRecipe(), iter(batches))
    with pytest.raises(ValueError, match="matches no layer"):
        post_training_quantize(net, PTQRecipe().with_layers(LayerChoice("rihgt.0", weight_bits=4)), batches)
    assert {type(module) for module in net.modules()} == names


def test_nan_is_named(net, batches):
    with torch.no_grad():
        net.left.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="head.0 reads are NaN or infinite in calibration batch 1"):
        post_training_quantize(net, PTQRecipe(), batches)


def test_other_calls(net, batches):
    """Batches of any form, by a function that knows how to run them."""
    given = [{"x": batch} for batch in batches]
    result = post_training_quantize(nn.Sequential(net), PTQRecipe(), given, run=lambda model, batch: model(batch["x"]))
    assert len(result.ranges) >= 5
