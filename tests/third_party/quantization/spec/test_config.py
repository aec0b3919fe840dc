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

from .cases import FULL


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
