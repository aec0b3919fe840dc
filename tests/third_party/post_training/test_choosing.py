"""The search for the cheapest recipe, with measurements that are made up."""

import json

import pytest

from third_party.post_training.choosing import Candidate, RecipeSearch
from third_party.quantization.ptq.choice import OBSERVED, SAFER, SMALLER, USUAL, Option, Solver
from third_party.quantization.ptq.recipe import PTQRecipe
from third_party.quantization.ptq.recipe_parts import ReconstructionSettings


class _Search(RecipeSearch):
    """Each layer in 16 bits gives one AP back, each in 4 bits costs 0.2."""

    def __init__(self, drop: float, max_drop: float) -> None:
        super().__init__(None, PTQRecipe(), None, None, max_drop, 16)
        self.usual_drop = drop

    def _measure(self, recipe, cost, explanation):
        safer = sum(choice.activation_bits == 16 or choice.keep_float for choice in recipe.layers)
        smaller = sum(choice.weight_bits == 4 for choice in recipe.layers)
        candidate = Candidate(recipe, max(self.usual_drop - safer, 0.05) + 0.2 * smaller, cost, explanation)
        self.candidates.append(candidate)
        return candidate, None

    def _frontier(self, quantized, alternatives, measure):
        self.alternatives, self.measure = alternatives, measure
        options = {}
        for index in range(8):
            own = [Option(USUAL, 8.0, 0.0)]
            if set(SAFER) <= set(alternatives):
                own.append(Option("A16", 16.0, -1.0 - index / 100))
            else:
                own.append(Option("W4", 4.0, 0.1 + index / 100))
            options[f"layer{index}"] = own
        return Solver(options).frontier()


def test_as_many_layers_are_made_safer_as_it_takes():
    search = _Search(drop=3.4, max_drop=0.5)
    choice = search.run()
    assert choice.met and search.measure == "bit_operations" and search.alternatives == (*OBSERVED, *SAFER)
    # Three layers bring 3.4 to 0.4, and those whose effect is largest are taken.
    assert sorted(c.name for c in choice.recipe.layers) == ["layer5", "layer6", "layer7"]
    assert not choice.recipe.reconstruction.enabled
    assert "layer7: A16" in choice.verdict and len(choice.candidates) <= 6
    assert json.loads(json.dumps(choice.to_dict()))["met"] is True


def test_layers_are_made_smaller_as_far_as_it_goes():
    search = _Search(drop=0.0, max_drop=0.5)
    choice = search.run()
    assert choice.met and search.measure == "bytes" and search.alternatives is SMALLER
    assert sorted(c.name for c in choice.recipe.layers) == ["layer0", "layer1"]  # 0.05 + 2 * 0.2
    assert choice.recipe.reconstruction.enabled and choice.recipe.weights.ranges == "mse"


def test_a_reconstruction_that_was_asked_for_stays():
    search = _Search(drop=0.0, max_drop=0.5)
    search.recipe = PTQRecipe(reconstruction=ReconstructionSettings(enabled=True, method="brecq"))
    assert search.run().recipe.reconstruction == search.recipe.reconstruction


def test_a_tolerance_that_cannot_be_kept_is_explained():
    choice = _Search(drop=20.0, max_drop=0.5).run()
    assert not choice.met and len(choice.recipe.layers) == 8
    assert "No recipe within 0.5 AP was found. The best loses 12.00" in choice.verdict


@pytest.mark.parametrize("drop", [0.5, 0.49])
def test_the_recipe_itself_may_be_the_cheapest(drop):
    choice = _Search(drop=drop, max_drop=0.5).run()
    assert choice.met and choice.recipe == PTQRecipe()
