from dataclasses import fields

import pytest

from third_party.quantization.spec import Calibrate, Freeze, ResetRange, Role, SetBits, SetEnabled, Step, Unfreeze
from third_party.quantization.spec.schedule import ACTIONS

EXAMPLES = [SetEnabled(False), SetBits(4), SetBits(2, False), Freeze(), Unfreeze(), Calibrate(3), ResetRange()]


def test_examples_cover_the_registry():
    assert {type(action) for action in EXAMPLES} == set(ACTIONS.values())
    assert all(kind.action == name for name, kind in ACTIONS.items())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SetEnabled(1), "value of set_enabled must be True or False; got 1"),
        (lambda: SetBits(0), "bits of set_bits must be .*at least 1"),
        (lambda: SetBits(17), "bits of set_bits must be .*at most 16"),
        (lambda: SetBits(4.0), "bits of set_bits must be a whole number"),
        (lambda: SetBits(4, 1), "reset_momentum of set_bits must be True or False"),
        (lambda: Calibrate(0), "batches of calibrate must be .*at least 1"),
        (lambda: Calibrate(True), "batches of calibrate must be a whole number"),
        (lambda: Step(-1, Freeze()), "iteration must be .*at least 0; got -1"),
        (lambda: Step(1.0, Freeze()), "iteration must be a whole number"),
        (lambda: Step(0, "freeze"), "action must be SetEnabled or SetBits .*got 'freeze'"),
        (lambda: Step(0, Freeze(), name="re:("), "not a regular expression"),
        (lambda: Step(0, Freeze(), role="weight"), "role must be Role or None"),
        (lambda: Step(0, Calibrate(1), role=Role.WEIGHT), "role must be activation, or left out, for calibrate"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("action", EXAMPLES)
def test_a_step_for_all_layers_and_roles_is_the_default(action):
    step = Step(5, action)
    assert step.matches("any.layer") and all(step.concerns(role) for role in Role)
    assert step.describe() == f"{action.action} at iteration 5, name *"


def test_name_and_role_narrow_a_step():
    step = Step(0, Freeze(), name="head.*", role=Role.WEIGHT)
    assert step.matches("head.cls") and not step.matches("stem")
    assert step.concerns(Role.WEIGHT) and not step.concerns(Role.ACTIVATION)


@pytest.mark.parametrize("action", EXAMPLES)
def test_actions_cannot_change(action):
    for field in fields(action):
        with pytest.raises(AttributeError):
            setattr(action, field.name, None)
