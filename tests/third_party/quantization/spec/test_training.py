from dataclasses import fields

import pytest

from third_party.quantization.spec import ProgressiveConfig, TrainingConfig
from third_party.quantization.spec.training import TRAINING_GROUPS

NUMBER = ["1", None, True, -1]
BAD = {
    "training": {
        "ema_decay": [*NUMBER, 1.0, 1.5],
        "ema_evaluate": [1, None],
        "correction": [1, None],
        "reset_momentum": [1, None],
        **{name: [{}, None] for name in TRAINING_GROUPS},
    },
    "oscillation": {"dampening": NUMBER, "freeze_threshold": [*NUMBER, 1.5], "momentum": [*NUMBER, 0, 1.5]},
    "quantization_loss": {"weight": NUMBER, "kind": ["l3", None]},
    "distillation": {"weight": NUMBER, "teacher": [None, 3], "kind": ["feature", 1], "names": [["a"], ("re:(",), "a"]},
    "prox": {"enabled": [1], "start": [*NUMBER, 1.0], "end": [*NUMBER, 1.0]},
    "progressive": {
        "enabled": [1],
        "start_bits": [*NUMBER, 0, 17, 4.0],
        "end_bits": [*NUMBER, 0, 17, 4.0],
        "steps": [[1], (0,), (1.0,), (2, 1), (1, 1)],
        "name": ["", 3],
        "role": ["weight", 1],
    },
}
TYPES = {"training": TrainingConfig, **TRAINING_GROUPS}
CASES = [(group, field.name) for group, kind in TYPES.items() for field in fields(kind)]


def test_groups_are_the_fields_that_have_settings_of_their_own():
    made = TrainingConfig()
    assert {name: type(getattr(made, name)) for name in TRAINING_GROUPS} == TRAINING_GROUPS


@pytest.mark.parametrize("group, name", CASES)
def test_bad_values_are_refused_by_name(group, name):
    for value in BAD[group][name]:
        with pytest.raises(ValueError, match=name.removesuffix("s")):
            TYPES[group](**{name: value})


def test_everything_is_off_by_default():
    made = TrainingConfig()
    switches = (made.ema_decay, made.oscillation.dampening, made.oscillation.freeze_threshold, made.correction)
    assert not any(switches) and not made.prox.enabled and not made.progressive.enabled
    assert not made.quantization_loss.weight and not made.distillation.weight


@pytest.mark.parametrize(
    "group, values, message",
    [
        ("prox", {"enabled": True}, "end must be above start, 0; got 0"),
        ("progressive", {"enabled": True}, "steps must hold at least one iteration"),
        ("distillation", {"weight": 1.0}, "names must say which modules' features"),
    ],
)
def test_what_is_switched_on_needs_its_settings(group, values, message):
    with pytest.raises(ValueError, match=message):
        TYPES[group](**values)


def test_outputs_are_distilled_without_names():
    assert TRAINING_GROUPS["distillation"](weight=1.0, kind="outputs").names == ()


def test_progressive_bits_go_in_equal_parts_from_start_to_end():
    config = ProgressiveConfig(enabled=True, start_bits=8, end_bits=2, steps=(10, 20, 30))
    assert [config.bits_at(i) for i in (0, 9, 10, 19, 20, 29, 30, 1000)] == [8, 8, 6, 6, 4, 4, 2, 2]


def test_progressive_bits_between_two_widths_round_half_up():
    config = ProgressiveConfig(enabled=True, start_bits=8, end_bits=3, steps=(1, 2))
    assert [config.bits_at(i) for i in range(3)] == [8, 6, 3]
