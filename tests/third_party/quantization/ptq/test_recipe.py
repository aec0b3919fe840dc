"""Recipes: what they say, and what they refuse."""

import pytest
import yaml

from third_party.quantization.ptq.recipe import PTQRecipe
from third_party.quantization.ptq.recipe_parts import LayerChoice

FULL = """
WEIGHTS: {BITS: 4, GRANULARITY: tensor, RANGES: mse, NARROW_RANGE: true}
ACTIVATIONS: {BITS: 6, SYMMETRIC: true, OBSERVER: percentile, ELEMENTWISE: false, NONLINEAR: true}
STEPS: {TIES: false, MIGRATE: true}
RECONSTRUCTION: {ENABLED: true, METHOD: adaround, ITERATIONS: 5, BATCHES: 2, DROP: 0.25}
LAYERS:
  - {NAME: "backbone.*", WEIGHT_BITS: 8}
  - {NAME: head.out, KEEP_FLOAT: true}
  - {NAME: head.in, ACTIVATION_BITS: 16, OBSERVER: minmax}
REDUCE_RANGE: true
IMAGES: 12
"""


def test_a_recipe_is_written_and_read_back():
    recipe = PTQRecipe.from_mapping(yaml.safe_load(FULL))
    assert recipe.weights.bits == 4 and recipe.reconstruction.method == "adaround" and recipe.images == 12
    written = yaml.safe_dump(recipe.to_mapping())
    assert PTQRecipe.from_mapping(yaml.safe_load(written)) == recipe
    assert PTQRecipe.from_mapping({}) == PTQRecipe() == PTQRecipe.from_mapping(PTQRecipe().to_mapping())


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"WEIGTHS": {}}, r"RECIPE.WEIGTHS: no such setting. Did you mean WEIGHTS\?"),
        ({"WEIGHTS": {"BIT": 4}}, r"RECIPE.WEIGHTS.BIT: no such setting. Did you mean BITS"),
        ({"WEIGHTS": {"BITS": 1}}, "RECIPE.WEIGHTS: bits must be a number at least 2, at most 16; got 1"),
        ({"ACTIVATIONS": {"OBSERVER": "msee"}}, "observer must be one of .*; got 'msee'. Did you mean mse"),
        ({"STEPS": {"TIES": 1}}, "RECIPE.STEPS: ties must be True or False; got 1"),
        ({"RECONSTRUCTION": {"METHOD": "gptqq"}}, "method must be one of gptq, adaround, brecq; .*Did you mean gptq"),
        ({"LAYERS": [{"WEIGHT_BITS": 8}]}, r"RECIPE.LAYERS\[0\].NAME: must be given"),
        ({"LAYERS": [{"NAME": "a"}]}, "the choice for 'a' changes nothing"),
        ({"LAYERS": [{"NAME": "a", "KEEP_FLOAT": True, "WEIGHT_BITS": 8}]}, "use either"),
        ({"LAYERS": {"NAME": "a"}}, "RECIPE.LAYERS: must be a list"),
        ({"IMAGES": -1}, "RECIPE: images must be a number at least 0; got -1"),
        ({"REDUCE_RANGE": "yes"}, "reduce_range must be True or False"),
    ],
)
def test_mistakes_are_named(mapping, message):
    with pytest.raises(ValueError, match=message):
        PTQRecipe.from_mapping(mapping)


def _plan(recipe, name, kind="weighted"):
    return recipe.quant_config().resolve(name, ["Conv2d"], kind)


def test_settings_of_the_engine():
    plan = _plan(PTQRecipe(), "any")
    assert (plan.weight.method, plan.weight.bits, plan.weight.granularity) == ("minmax", 8, "channel")
    assert (plan.activation.method, plan.activation.bits, plan.activation.symmetric) == ("minmax", 8, False)
    assert _plan(PTQRecipe(), "any", "elementwise").activation == plan.activation
    assert PTQRecipe().quant_config().nonlinear is None
    assert _plan(PTQRecipe(reduce_range=True), "any").weight.bits == 7
    full = PTQRecipe.from_mapping(yaml.safe_load(FULL))
    assert full.quant_config().batch_norm == "fold" and full.quant_config().elementwise is None
    assert full.quant_config().nonlinear.bits == 6 and full.quant_config().weight.initial_range == "mse"


def test_layers_that_differ():
    full = PTQRecipe.from_mapping(yaml.safe_load(FULL))
    assert _plan(full, "backbone.stem").weight.bits == 7 and _plan(full, "backbone.stem").activation.bits == 6
    assert _plan(full, "head.out").skip and not _plan(full, "head.other").skip
    assert _plan(full, "head.in").activation.bits == 16 and _plan(full, "head.in").weight.bits == 4
    assert full.observers() == {"*": "percentile", "head.in": "minmax"}
    assert not _plan(full, "headXin").activation.bits == 16  # the dot is no wildcard


def test_the_later_choice_wins_whatever_its_kind():
    recipe = PTQRecipe().with_layers(LayerChoice("head.out", keep_float=True), LayerChoice("head.*", weight_bits=4))
    assert _plan(recipe, "head.out").weight.bits == 4
    turned = PTQRecipe().with_layers(LayerChoice("head.*", weight_bits=4), LayerChoice("head.out", keep_float=True))
    assert _plan(turned, "head.out").skip and _plan(turned, "head.in").weight.bits == 4


def test_a_choice_for_an_addition():
    recipe = PTQRecipe().with_layers(LayerChoice("block.add", activation_bits=16))
    assert _plan(recipe, "block.add", "elementwise").activation.bits == 16
