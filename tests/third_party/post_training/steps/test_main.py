"""The command that takes one step."""

import argparse

import pytest

from third_party.post_training.__main__ import main
from third_party.post_training.steps import STEPS


def test_every_step_is_listed(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for name, step in STEPS.items():
        assert f"  {name} " in text and step.__doc__.strip().partition("\n")[0] in text


@pytest.mark.parametrize("name", STEPS)
def test_a_step_tells_of_its_arguments(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    text = capsys.readouterr().out
    parser = argparse.ArgumentParser()
    STEPS[name].add_arguments(parser)
    assert f"post_training {name} " in text
    assert all(option in text for action in parser._actions for option in action.option_strings)
    assert all(action.help for action in parser._actions)


@pytest.mark.parametrize("arguments", [[], ["quantise"], ["calibrate"]])
def test_a_wrong_command_line(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage:" in capsys.readouterr().err
