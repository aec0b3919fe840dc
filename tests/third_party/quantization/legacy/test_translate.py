"""Translations of whole configs and policies."""

import pytest

from third_party.quantization.legacy.keys import DEFAULTS
from third_party.quantization.spec import AQDSpec, LSQSpec, QuantConfig

from .cases import FM, NAMES, NOTHING, OFF, ON, PLAIN, WT, translate


@pytest.mark.parametrize(
    "mapping, changes",
    [
        ({}, NOTHING),
        (DEFAULTS, NOTHING),
        ({"keyword": ["lsq"]}, NOTHING),
        (ON, {}),
        ({**ON, "padding_after_quant": True, "probe_list": [], "global_buffer": {}}, {}),
        ({**ON, "fm_enable": False}, {"ACTIVATION": OFF}),
        ({**ON, "wt_enable": False}, {"WEIGHT": OFF}),
        ({**ON, "fm_bit": 32.0, "wt_bit": 8}, {"ACTIVATION": OFF, "WEIGHT": {**WT, "BITS": 8, "GRID": "integer"}}),
        ({**ON, "stable": 50}, {"ACTIVATION": {**FM, "WARMUP_BATCHES": 50}}),
        ({**ON, "wt_adaptive": "var-mean"}, {"WEIGHT_STANDARDIZATION": True}),
        ({**ON, "keyword": ["lsq", "fixpoint"]}, {"BATCH_NORM": "fixed_point"}),
        ({**ON, "keyword": ["aqd"]}, {"WEIGHT": {**WT, "METHOD": "aqd"}, "ACTIVATION": {**FM, "METHOD": "aqd"}}),
        (
            {**ON, "scope": ["backbone.res2", "head*"]},
            {
                "RULES": [
                    {"NAME": "*", "SKIP": True},
                    {"NAME": r"re:(.*\.)?backbone\.res2(\..*)?", "SKIP": False},
                    {"NAME": "head*", "SKIP": False},
                ]
            },
        ),
    ],
)
def test_keys(mapping, changes):
    assert translate(mapping) == {**PLAIN, **changes}


@pytest.mark.parametrize(
    "progressive, changes",
    [
        ({"enable": False, "fm_start_bit": 3.0}, {}),
        (
            {"enable": True},
            {
                "TRAINING": {
                    "PROGRESSIVE": {"ENABLED": True, "START_BITS": 16, "END_BITS": 2, "STEPS": [10, 20], "NAME": "*"}
                }
            },
        ),
        (
            {"enable": True, "fm_start_bit": 8, "wt_start_bit": 6, "scope": ["head"]},
            {
                "SCHEDULE": [
                    {
                        "ITERATION": at,
                        "NAME": r"re:(.*\.)?head(\..*)?",
                        "ROLE": role,
                        "ACTION": "set_bits",
                        "BITS": bits,
                    }
                    for role, widths in (("activation", (8, 5, 2)), ("weight", (6, 4, 2)))
                    for at, bits in zip((0, 10, 20), widths, strict=True)
                ]
            },
        ),
    ],
)
def test_progressive(progressive, changes):
    assert translate({**ON, "progressive": progressive}) == {**PLAIN, **changes}


def test_progression_of_weights_alone_names_the_role():
    result = translate({**ON, "fm_enable": False, "progressive": {"enable": True}})
    assert result["TRAINING"]["PROGRESSIVE"]["ROLE"] == "weight"


WT8 = {"BITS": 8, "GRID": "integer"}


@pytest.mark.parametrize(
    "policy, changes",
    [
        ("on init:\nby_index: all\nbit: 4", {"WEIGHT": {**WT, "BITS": 4}, "ACTIVATION": {**FM, "BITS": 4}}),
        ("on init:\nby_index: all\nby_tag: fm\nbit: 4", {"ACTIVATION": {**FM, "BITS": 4}}),
        ("on init:\nby_index: all\nby_tag: wt\nenable: False", {"WEIGHT": OFF}),
        (
            "on init:\nby_index: 0 3\nbit: 8",
            {
                "RULES": [
                    {"NAME": "backbone.stem", "WEIGHT": WT8, "ACTIVATION": {"BITS": 8}},
                    {"NAME": "head.cls", "WEIGHT": WT8, "ACTIVATION": {"BITS": 8}},
                ]
            },
        ),
        ("on init:\nby_index: 3\nby_tag: fm\nenable: False", {"RULES": [{"NAME": "head.cls", "ACTIVATION": "float"}]}),
        # Later lines win, also over layers that were named before.
        ("on init:\nby_index: 3\nbit: 8\nby_index: all\nbit: 2", {}),
        (
            "on init:\nby_index: 3\nbit: 8\nhalf_range: False\nby_tag: fm\nby_index: all\nbit: 3",
            {
                "ACTIVATION": {**FM, "BITS": 3},
                "RULES": [
                    {"NAME": "head.cls", "WEIGHT": WT8, "ACTIVATION": {"SIGNED": True, "GRID": "interval"}},
                ],
            },
        ),
        ("on norm:\nenable: True", {"BATCH_NORM": "fixed_point"}),
        ("on norm:\nby_index: all\nfixpoint: False", {}),
        ("on eltwise:\nbit: 8", {"ELEMENTWISE": {"ENABLED": True, "METHOD": "lsq", "BITS": 8}}),
        (
            "on eltwise:\nby_index: all\nenable: True\nbit: 4",
            {"ELEMENTWISE": {"ENABLED": True, "METHOD": "lsq", "BITS": 4}},
        ),
        (
            "on epoch 6 3:\nby_index: all\nbit: 4",
            {"SCHEDULE": [{"ITERATION": at, "NAME": "*", "ACTION": "set_bits", "BITS": 4} for at in (300, 600)]},
        ),
        (
            "on epoch 2:\nby_index: 1 3\nby_tag: wt\nenable: False",
            {
                "SCHEDULE": [
                    {"ITERATION": 200, "NAME": name, "ROLE": "weight", "ACTION": "set_enabled", "VALUE": False}
                    for name in ("backbone.res2.conv1", "head.cls")
                ]
            },
        ),
        (
            "on epoch 1:\nby_index: all\nbit: 32",
            {"SCHEDULE": [{"ITERATION": 100, "NAME": "*", "ACTION": "set_enabled", "VALUE": False}]},
        ),
    ],
)
def test_policies(policy, changes):
    assert translate(ON, policy) == {**PLAIN, **changes}


def test_bit_in_a_policy_changes_the_levels_of_its_layers():
    config = QuantConfig.from_mapping(translate({**ON, "wt_level": 4, "fm_level": 4}, "on init:\nby_index: 0\nbit: 8"))
    first, second = (config.resolve(name, ("Conv2d",)) for name in NAMES[:2])
    assert (first.weight, first.activation) == (LSQSpec(bits=8), LSQSpec(bits=8, signed=False))
    assert (second.weight, second.activation) == (LSQSpec(bits=2, grid="interval"), LSQSpec(bits=2, signed=False))


def test_a_layer_enabled_by_the_policy_gets_all_its_words():
    mapping = {**ON, "keyword": ["aqd"], "wt_enable": False, "fm_enable": False, "fm_quant_group": 2, "stable": 7}
    result = translate(mapping, "on init:\nby_index: 2\nenable: True")
    config = QuantConfig.from_mapping(result)
    assert result["ENABLED"] and config.weight is config.activation is None
    plan = config.resolve(NAMES[2], ("Conv2d",))
    assert plan.weight == AQDSpec(bits=2, grid="interval")
    assert plan.activation == AQDSpec(bits=2, signed=False, granularity=2, warmup_batches=7)
    assert config.resolve(NAMES[1], ("Conv2d",)).skip


def test_scope_means_whole_parts_of_names():
    config = QuantConfig.from_mapping(translate({**ON, "scope": ["res2"]}))
    assert [config.resolve(name, ()).skip for name in NAMES] == [True, False, False, True]
