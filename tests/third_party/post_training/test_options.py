"""What the commands take, and what the page about them says."""

import argparse
import re
from pathlib import Path

import pytest
import yaml

from third_party.post_training.command import parser
from third_party.post_training.options import Request
from third_party.post_training.steps import STEPS
from third_party.post_training.workflow import _for_calibration
from third_party.quantization.ptq.recipe import PTQRecipe

PAGE = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text()


def _options(made):
    return {option for action in made._actions for option in action.option_strings}


def _step(name):
    made = argparse.ArgumentParser()
    STEPS[name].add_arguments(made)
    return made


def test_the_page_lists_the_whole_recipe():
    section = PAGE.partition("## The recipe")[2]
    given = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0])
    assert given.pop("LAYERS")
    assert given == {key: value for key, value in PTQRecipe().to_mapping().items() if key != "LAYERS"}


def test_recipes_on_the_page_can_be_read():
    recipes = [
        PTQRecipe.from_mapping(yaml.safe_load(text)) for text in re.findall("```yaml\n(.*?)```", PAGE, re.DOTALL)
    ]
    assert len(recipes) == 2 and all(recipe.layers for recipe in recipes)


def test_the_page_names_options_that_exist():
    before_engines = PAGE.partition("## What computes what")[0]
    known = set().union(_options(parser()), *(_options(_step(name)) for name in STEPS))
    named = set(re.findall(r"--[a-z][a-z-]+", before_engines)) - {"--eval-only"}  # of tools/train_net.py
    assert named <= known and len(named) > 15


@pytest.mark.parametrize("name", STEPS)
def test_the_page_shows_what_a_step_needs(name):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name} ") or line.startswith(f"| `{name}`"))
    needed = {action.option_strings[-1] for action in _step(name)._actions if action.required and action.option_strings}
    assert needed - {"--config-file", "--weights"} <= set(re.findall(r"--[a-z][a-z-]+", row))


def test_steps_and_the_command_tell_the_same_of_the_same_option():
    whole = {tuple(action.option_strings): action.help for action in parser()._actions if action.option_strings}
    for name in STEPS:
        for action in _step(name)._actions:
            key = tuple(action.option_strings)
            if key in whole and not {"--weights", "--calib", "--no-nms", "--eval"} & set(key):
                assert action.help == whole[key], (name, key)


def test_every_option_has_a_help():
    assert all(action.help for made in (parser(), *map(_step, STEPS)) for action in made._actions)


def test_what_has_no_effect_on_quantized_weights_is_named():
    request = {"weights": "w", "out": "o", "evaluation": "e"}
    assert _for_calibration(Request(**request)) == []
    given = Request(**request, calibration="c", recipe=PTQRecipe(images=3), max_drop=1.0, audit=True)
    assert _for_calibration(given) == ["--calib", "the recipe", "--max-drop", "--audit"]
