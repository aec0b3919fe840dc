"""Mistakes in MODEL.QUANTIZATION are refused by their dotted key."""

import copy

import pytest

from third_party.quantization.spec import METHODS, PACTSpec, QuantConfig

from .cases import FULL


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight": {"bits": 8}}, "weight must be QuantSpec or None"),
        ({"weight": PACTSpec()}, "weight: method pact quantizes activation only"),
        ({"elementwise": METHODS["ttq"]()}, "elementwise: method ttq quantizes weight only"),
        (
            {"batch_norm": "folded"},
            "batch_norm must be one of float, fold, fixed_point; got 'folded'. Did you mean fold",
        ),
        ({"weight_standardization": 1}, "weight_standardization must be True or False"),
        ({"rules": [{"name": "a"}]}, "each of rules must be Rule"),
        ({"schedule": ["freeze"]}, "each of schedule must be Step"),
        ({"training": {}}, "training must be TrainingConfig"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuantConfig(**arguments)


PATH = "MODEL.QUANTIZATION"


@pytest.mark.parametrize(
    "mapping, message",
    [
        ([], f"{PATH}: must be a mapping of settings; got []"),
        ({3: 4}, f"{PATH}.3: a key must be text"),
        ({"WIEGHT": {}}, f"{PATH}.WIEGHT: no such setting. Did you mean WEIGHT"),
        ({"ENABLED": 1}, f"{PATH}.ENABLED: value must be True or False; got 1"),
        ({"WEIGHT": {"BIT": 4}}, f"{PATH}.WEIGHT.BIT: no such setting. Did you mean BITS"),
        ({"WEIGHT": {"bits": 4}}, f"{PATH}.WEIGHT.bits: no such setting. Did you mean BITS"),
        (
            {"WEIGHT": {"BITS": "4"}},
            f"{PATH}.WEIGHT.BITS: bits of method lsq must be a whole number from 1 to 16, got '4'",
        ),
        ({"WEIGHT": {"METHOD": "lqs"}}, f"{PATH}.WEIGHT.METHOD: method must be one of aqd, lsq"),
        ({"WEIGHT": {"METHOD": "pact"}}, f"{PATH}.WEIGHT.METHOD: method must be one of aqd, lsq"),
        ({"WEIGHT": {"METHOD": "ttq", "BITS": 4}}, f"{PATH}.WEIGHT.BITS: bits of method ttq must be 2, got 4"),
        ({"WEIGHT": {"THRESHOLD": 0.1}}, f"{PATH}.WEIGHT.THRESHOLD: no such setting"),
        ({"WEIGHT": {"GRID": "interval", "SYMMETRIC": False}}, f"{PATH}.WEIGHT: grid 'interval' has"),
        ({"WEIGHT": {"ENABLED": False, "SIGNED": False}}, f"{PATH}.WEIGHT: signed must not be False for weights"),
        ({"WEIGHT": 8}, f"{PATH}.WEIGHT: value must be one of float or a mapping of settings; got 8"),
        ({"ACTIVATION": {"METHOD": "ttq"}}, f"{PATH}.ACTIVATION.METHOD: method must be one of"),
        ({"BATCH_NORM": "folded"}, f"{PATH}: batch_norm must be one of float, fold, fixed_point; got 'folded'"),
        ({"RULES": {}}, f"{PATH}.RULES: must be a list; got {{}}"),
        ({"RULES": ["a"]}, f"{PATH}.RULES[0]: must be a mapping of settings; got 'a'"),
        (
            {"RULES": [{"NAME": "a", "SKIP": True}, {"NAMES": "a"}]},
            f"{PATH}.RULES[1].NAMES: no such setting. Did you mean NAME",
        ),
        ({"RULES": [{"NAME": "a"}]}, f"{PATH}.RULES[0]: the rule for name a changes nothing"),
        ({"RULES": [{"SKIP": True}]}, f"{PATH}.RULES[0]: a rule needs name or type"),
        (
            {"RULES": [{"NAME": "a", "WEIGHT": {"BIT": 4}}]},
            f"{PATH}.RULES[0].WEIGHT.BIT: no such setting. Did you mean BITS",
        ),
        ({"RULES": [{"NAME": "a", "WEIGHT": {"BITS": 99}}]}, f"{PATH}.RULES[0].WEIGHT.BITS: bits must be"),
        (
            {"RULES": [{"NAME": "a", "WEIGHT": "int8"}]},
            f"{PATH}.RULES[0].WEIGHT: value must be one of float or a mapping",
        ),
        ({"SCHEDULE": [{"ITERATION": 1}]}, f"{PATH}.SCHEDULE[0].ACTION: must be given, one of set_enabled, set_bits"),
        ({"SCHEDULE": [{"ACTION": "freeze"}]}, f"{PATH}.SCHEDULE[0].ITERATION: must be given"),
        ({"SCHEDULE": [{"ITERATION": 1, "ACTION": "set_bit"}]}, f"{PATH}.SCHEDULE[0].ACTION: value must be one of"),
        ({"SCHEDULE": [{"ITERATION": 1, "ACTION": "set_bits"}]}, f"{PATH}.SCHEDULE[0].BITS: must be given"),
        (
            {"SCHEDULE": [{"ITERATION": 1, "ACTION": "freeze", "BITS": 3}]},
            f"{PATH}.SCHEDULE[0].BITS: no such setting. It takes no settings",
        ),
        (
            {"SCHEDULE": [{"ITERATION": 1, "ACTION": "freeze", "ROLE": "weights"}]},
            f"{PATH}.SCHEDULE[0].ROLE: value must be one of weight, activation or left out for both; got 'weights'",
        ),
        ({"SCHEDULE": [{"ITERATION": -1, "ACTION": "freeze"}]}, f"{PATH}.SCHEDULE[0]: iteration must be"),
        ({"TRAINING": {"EMA": 0.9}}, f"{PATH}.TRAINING.EMA: no such setting. Did you mean EMA_DECAY"),
        ({"TRAINING": {"EMA_DECAY": 1}}, f"{PATH}.TRAINING: ema_decay must be below 1"),
        ({"TRAINING": {"PROX": {"STRAT": 1}}}, f"{PATH}.TRAINING.PROX.STRAT: no such setting. Did you mean START"),
        ({"TRAINING": {"PROX": []}}, f"{PATH}.TRAINING.PROX: must be a mapping"),
        ({"TRAINING": {"PROX": {"START": -1}}}, f"{PATH}.TRAINING.PROX: start must be"),
    ],
)
def test_refusals_start_with_the_dotted_key(mapping, message):
    with pytest.raises(ValueError) as refused:
        QuantConfig.from_mapping(mapping)
    assert str(refused.value).startswith(message)


def _paths(node, path=()):
    """Every mapping inside a mapping, by the way to it."""
    if isinstance(node, dict):
        yield path
        node = list(node.items())
    elif isinstance(node, list):
        node = list(enumerate(node))
    else:
        return
    for key, value in node:
        yield from _paths(value, (*path, key))


@pytest.mark.parametrize("path", list(_paths(FULL)))
def test_no_unknown_key_goes_by_anywhere(path):
    mapping = copy.deepcopy(FULL)
    node = mapping
    dotted = PATH
    for key in path:
        node = node[key]
        dotted += f"[{key}]" if isinstance(key, int) else f".{key}"
    node["SURPRISE"] = 1
    with pytest.raises(ValueError) as refused:
        QuantConfig.from_mapping(mapping)
    assert str(refused.value).startswith(f"{dotted}.SURPRISE: no such setting")
