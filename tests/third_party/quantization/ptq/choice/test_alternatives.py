"""Other ways to treat single layers."""

import copy

import pytest
import torch

from tests.third_party.quantization.ptq.nets import Net, loss
from third_party.quantization.ptq.choice.alternatives import (
    SAFER,
    USUAL,
    Alternative,
    choices_of,
    layer_options,
)
from third_party.quantization.ptq.choice.costs import layer_costs
from third_party.quantization.ptq.choice.search import Solver
from third_party.quantization.ptq.choice.treatments import alternative_trials, range_setter
from third_party.quantization.ptq.choice.trials import layers_with_quantizers, measure_trials
from third_party.quantization.ptq.collect import collect
from third_party.quantization.ptq.pipeline import post_training_quantize
from third_party.quantization.ptq.recipe import PTQRecipe
from third_party.quantization.ptq.recipe_parts import ActivationSettings, StepSettings, WeightSettings

STEPS = StepSettings(migrate=False, bias_correction=False)  # a trial changes ranges alone
RECIPE = PTQRecipe(WeightSettings(bits=4), ActivationSettings(bits=5), STEPS)
CHOICES = (*SAFER, Alternative("W3", weight_bits=3), Alternative("minmax", observer="minmax"))


@pytest.fixture(scope="module")
def material():
    torch.manual_seed(0)
    net = Net().eval()
    batches = [torch.randn(2, 3, 8, 8) for _ in range(2)]
    model = copy.deepcopy(net)
    post_training_quantize(model, RECIPE, batches, convert_model=False)
    layers = layers_with_quantizers(model)
    layers.pop("unused")
    setter = range_setter(model, collect(model, batches), RECIPE.observers())
    trials = alternative_trials(layers, CHOICES, setter)
    return net, batches, model, layers, trials, measure_trials(model, batches, loss, trials)


def test_each_trial_is_what_a_recipe_with_that_choice_gives(material):
    net, batches, _, layers, trials, results = material
    assert len(trials) == len(layers) * len(CHOICES)
    by_name = {choice.name: choice for choice in CHOICES}
    for key in results.losses:
        layer, _, name = key.partition("|")
        other = copy.deepcopy(net)
        recipe = RECIPE.with_layers(by_name[name].choice(layer))
        post_training_quantize(other, recipe, batches, convert_model=False)
        with torch.no_grad():
            whole = sum(loss(other, batch) for batch in batches) / len(batches)
        assert results.losses[key] == pytest.approx(whole, rel=1e-5), key


def test_the_model_is_left_as_it_was(material):
    _, batches, model, _, _, results = material
    with torch.no_grad():
        assert sum(loss(model, batch) for batch in batches) / len(batches) == pytest.approx(results.base, rel=1e-6)


def test_options_and_choices(material):
    _, batches, model, layers, _, results = material
    costs = layer_costs(model, lambda: model(batches[0]))
    options = layer_options(layers, CHOICES, costs, results, "bit_operations")
    own = {option.name: option for option in options["left"]}
    operations = costs["left"].operations
    assert own[USUAL].cost == 5 * operations and own["A16"].cost == 16 * operations
    assert own["float"].cost == 32 * operations and own["W3"].cost == 5 * operations
    small = {o.name: o for o in layer_options(layers, CHOICES, costs, results, "bytes")["left"]}
    assert small["W3"].cost == costs["left"].weights * 3 / 8 and small["W16A16"].cost == costs["left"].weights * 2
    solver = Solver(options)
    best = solver.solve(solver.dearest)
    chosen = {choice.name: choice for choice in choices_of(best, CHOICES)}
    assert chosen and all(best.picked[name].name != USUAL for name in chosen)
