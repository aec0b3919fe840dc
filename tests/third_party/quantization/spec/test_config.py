"""Reading and writing MODEL.QUANTIZATION."""

import copy
import json
import pickle
from collections import OrderedDict
from dataclasses import FrozenInstanceError, fields

import pytest
import yaml

from third_party.quantization.spec import (
    METHODS,
    AQDSpec,
    Calibrate,
    Freeze,
    LSQSpec,
    PACTSpec,
    QuantConfig,
    ResetRange,
    Role,
    Rule,
    SetBits,
    SetEnabled,
    Step,
    TrainingConfig,
    Unfreeze,
    XNORSpec,
)
from third_party.quantization.spec.training import TRAINING_GROUPS

FULL = {
    "ENABLED": True,
    "WEIGHT": {"METHOD": "aqd", "BITS": 2, "GRANULARITY": 4, "GRID": "interval"},
    "ACTIVATION": {"METHOD": "pact", "BITS": 3, "SIGNED": False, "WARMUP_BATCHES": 20},
    "ELEMENTWISE": {"ENABLED": False},
    "BATCH_NORM": "fixed_point",
    "WEIGHT_STANDARDIZATION": True,
    "RULES": [
        {"NAME": "backbone.stem.*", "WEIGHT": {"BITS": 8}, "ACTIVATION": "float"},
        {"TYPE": "Linear", "SKIP": True},
        {"NAME": "head", "TYPE": "Conv2d", "SKIP": False, "ELEMENTWISE": {"METHOD": "minmax", "PERCENTILE": 0.5}},
        {"NAME": "x", "ACTIVATION": {"METHOD": "image", "MEAN": [1, 2, 3], "STD": [1.0, 1.0, 1.0]}},
    ],
    "SCHEDULE": [
        {"ITERATION": 0, "ACTION": "set_enabled", "VALUE": False},
        {"ITERATION": 10, "NAME": "head.*", "ROLE": "weight", "ACTION": "set_bits", "BITS": 2, "RESET_MOMENTUM": False},
        {"ITERATION": 20, "ROLE": "activation", "ACTION": "calibrate", "BATCHES": 5},
        {"ITERATION": 30, "ACTION": "freeze"},
        {"ITERATION": 40, "ACTION": "unfreeze"},
        {"ITERATION": 50, "ACTION": "reset_range"},
    ],
    "TRAINING": {
        "EMA_DECAY": 0.999,
        "EMA_EVALUATE": False,
        "CORRECTION": True,
        "RESET_MOMENTUM": False,
        "OSCILLATION": {"DAMPENING": 0.1, "FREEZE_THRESHOLD": 0.02, "MOMENTUM": 0.1},
        "QUANTIZATION_LOSS": {"WEIGHT": 0.5, "KIND": "distribution"},
        "DISTILLATION": {"WEIGHT": 1.0, "TEACHER": "teacher.pth", "KIND": "features", "NAMES": ["fpn.*", "head"]},
        "PROX": {"ENABLED": True, "START": 5, "END": 50},
        "PROGRESSIVE": {
            "ENABLED": True,
            "START_BITS": 8,
            "END_BITS": 2,
            "STEPS": [10, 20],
            "NAME": "head.*",
            "ROLE": "weight",
        },
    },
}


def test_the_full_example_is_read_as_written():
    config = QuantConfig.from_mapping(FULL)
    assert config.weight == AQDSpec(bits=2, granularity=4, grid="interval")
    assert config.activation == PACTSpec(bits=3, signed=False, warmup_batches=20)
    assert config.elementwise is None
    assert (config.batch_norm, config.weight_standardization) == ("fixed_point", True)
    assert config.rules == (
        Rule(name="backbone.stem.*", weight={"bits": 8}, activation="float"),
        Rule(module_type="Linear", skip=True),
        Rule(name="head", module_type="Conv2d", skip=False, elementwise={"method": "minmax", "percentile": 0.5}),
        Rule(name="x", activation={"method": "image", "mean": (1, 2, 3), "std": (1.0, 1.0, 1.0)}),
    )
    assert config.schedule == (
        Step(0, SetEnabled(False)),
        Step(10, SetBits(2, reset_momentum=False), name="head.*", role=Role.WEIGHT),
        Step(20, Calibrate(5), role=Role.ACTIVATION),
        Step(30, Freeze()),
        Step(40, Unfreeze()),
        Step(50, ResetRange()),
    )
    training = config.training
    assert (training.ema_decay, training.ema_evaluate, training.correction) == (0.999, False, True)
    assert training.distillation.names == ("fpn.*", "head")
    assert (training.progressive.role, training.progressive.steps) == (Role.WEIGHT, (10, 20))
    for name, group in TRAINING_GROUPS.items():
        for field in fields(group):
            expected = FULL["TRAINING"][name.upper()][field.name.upper()]
            value = getattr(getattr(training, name), field.name)
            plain = value.value if isinstance(value, Role) else list(value) if isinstance(value, tuple) else value
            assert plain == expected


def test_defaults():
    config = QuantConfig()
    assert config == QuantConfig.from_mapping({})
    assert config.weight == LSQSpec(bits=8, granularity="channel", grid="integer")
    assert config.activation == config.elementwise == LSQSpec(bits=8, granularity="tensor")
    assert (config.batch_norm, config.weight_standardization, config.rules, config.schedule) == ("float", False, (), ())
    assert config.training == TrainingConfig()


def test_a_section_keeps_the_defaults_it_does_not_name():
    config = QuantConfig.from_mapping({"WEIGHT": {"METHOD": "xnor"}, "ACTIVATION": {"BITS": 4}})
    assert config.weight == XNORSpec(granularity="channel")
    assert config.activation == LSQSpec(bits=4)


@pytest.mark.parametrize("written", [{"ENABLED": False}, {"ENABLED": False, "BITS": 4}, "float"])
def test_a_section_can_be_left_in_float(written):
    assert QuantConfig.from_mapping({"WEIGHT": written}).weight is None


@pytest.mark.parametrize(
    "mapping", [FULL, {}, {"WEIGHT": {"ENABLED": False}}, {"RULES": [{"NAME": "*", "SKIP": True}]}]
)
@pytest.mark.parametrize(
    "through", [lambda m: m, lambda m: json.loads(json.dumps(m)), lambda m: yaml.safe_load(yaml.safe_dump(m))]
)
def test_round_trip(mapping, through):
    config = QuantConfig.from_mapping(mapping)
    written = config.to_mapping()
    assert QuantConfig.from_mapping(through(written)) == config
    assert QuantConfig.from_mapping(through(written)).to_mapping() == written


@pytest.mark.parametrize("method", METHODS)
def test_round_trip_of_every_method(method):
    spec = METHODS[method](warmup_batches=3)
    for part in ("weight", "activation", "elementwise"):
        if (Role.WEIGHT if part == "weight" else Role.ACTIVATION) in spec.roles:
            config = QuantConfig(**{part: spec})
            assert QuantConfig.from_mapping(config.to_mapping()) == config


def test_any_mapping_is_read_and_none_is_changed():
    given = OrderedDict(copy.deepcopy(FULL))
    config = QuantConfig.from_mapping(given)
    assert given == FULL
    given["RULES"][0]["WEIGHT"]["BITS"] = 2
    assert config == QuantConfig.from_mapping(FULL)


def test_a_config_survives_copies_and_cannot_change():
    config = QuantConfig.from_mapping(FULL)
    assert copy.deepcopy(config) == config == pickle.loads(pickle.dumps(config))
    with pytest.raises(FrozenInstanceError):
        config.batch_norm = "fold"


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
