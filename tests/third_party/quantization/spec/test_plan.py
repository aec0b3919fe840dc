"""Which settings a layer gets when several rules mean it."""

import itertools

import pytest

from third_party.quantization.spec import AQDSpec, LayerPlan, LSQSpec, QuantConfig, Rule

TYPES = ("Conv2d", "_ConvNd", "Module")
NAME = "backbone.stem.conv1"


def bits_rule(bits, **where):
    return Rule(**where, weight={"bits": bits})


BY_TYPE = bits_rule(2, module_type="Conv2d")
BY_BASE = bits_rule(3, module_type="Module")
BY_GLOB = bits_rule(4, name="backbone.*")
BY_REGEX = bits_rule(5, name=r"re:.*\.conv\d")
BY_NAME = bits_rule(6, name=NAME)
BY_NAME_AND_TYPE = bits_rule(7, name=NAME, module_type="Conv2d")
LAYERS = {BY_TYPE.describe(): 1, BY_BASE.describe(): 1, BY_GLOB.describe(): 2, BY_REGEX.describe(): 2}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_strongest_rule_wins_and_of_equals_the_later(count):
    rules = [BY_TYPE, BY_BASE, BY_GLOB, BY_REGEX, BY_NAME, BY_NAME_AND_TYPE]
    for chosen in itertools.permutations(rules, count):
        strongest = max(range(count), key=lambda i: (LAYERS.get(chosen[i].describe(), 3), i))
        plan = QuantConfig(rules=chosen).resolve(NAME, TYPES)
        assert plan.weight.bits == chosen[strongest].weight["bits"]


def test_without_rules_all_take_the_defaults():
    config = QuantConfig()
    assert config.resolve(NAME, TYPES) == LayerPlan(config.weight, config.activation, False, "default")
    assert config.resolve("add", ("Add",), "elementwise") == LayerPlan(None, config.elementwise, False, "default")


def test_rules_of_several_layers_add_up():
    config = QuantConfig(
        rules=(
            Rule(name=NAME, weight={"granularity": "tensor"}),
            Rule(module_type="Conv2d", weight={"bits": 4}, activation={"bits": 3}),
            Rule(name="backbone.*", weight={"method": "aqd"}),
        )
    )
    plan = config.resolve(NAME, TYPES)
    assert plan.weight == AQDSpec(bits=4, granularity="tensor")
    assert plan.activation == LSQSpec(bits=3)
    assert plan.why == f"rule 1 (name {NAME}), rule 3 (name backbone.*), rule 2 (type Conv2d), default"


def test_rules_for_other_layers_change_nothing():
    config = QuantConfig(rules=(Rule(name="head.*", skip=True), Rule(module_type="Linear", weight={"bits": 2})))
    assert config.resolve(NAME, TYPES) == QuantConfig().resolve(NAME, TYPES)


@pytest.mark.parametrize(
    "rules, skip",
    [
        ([Rule(module_type="Conv2d", skip=True)], True),
        ([Rule(module_type="Conv2d", skip=True), Rule(name="backbone.*", skip=False)], False),
        ([Rule(name="backbone.*", skip=False), Rule(module_type="Conv2d", skip=True)], False),
        ([Rule(name=NAME, skip=True), Rule(name="backbone.*", skip=False)], True),
        ([Rule(name="*", skip=True), Rule(name="backbone.*", skip=False)], False),
        ([Rule(name="backbone.*", skip=False), Rule(name="*", skip=True)], True),
        ([Rule(name="*", skip=True), BY_NAME], True),
    ],
)
def test_skip_of_the_strongest_rule_that_says_it(rules, skip):
    plan = QuantConfig(rules=tuple(rules)).resolve(NAME, TYPES)
    assert plan.skip is skip
    assert (plan.weight is None and plan.activation is None) is skip


def test_why_of_a_skipped_layer_is_the_rule_that_skips():
    config = QuantConfig(rules=(Rule(module_type="Linear", skip=True), Rule(name="backbone.*", skip=True)))
    assert config.resolve(NAME, TYPES).why == "skipped by rule 2 (name backbone.*)"


def test_one_tensor_in_float():
    plan = QuantConfig(rules=(Rule(name=NAME, weight="float"),)).resolve(NAME, TYPES)
    assert plan.weight is None and plan.activation == LSQSpec() and not plan.skip


def test_float_of_a_weak_rule_is_undone_by_settings_of_a_strong_one():
    config = QuantConfig(rules=(Rule(name=NAME, weight={"bits": 4}), Rule(name="*", weight="float")))
    assert config.resolve(NAME, TYPES).weight == LSQSpec(bits=4, granularity="channel")
    assert config.resolve("head", TYPES).weight is None


def test_what_all_layers_leave_in_float_a_rule_can_quantize():
    config = QuantConfig(weight=None, rules=(Rule(name=NAME, weight={"enabled": True}),))
    assert config.resolve(NAME, TYPES).weight == LSQSpec(granularity="channel")
    assert config.resolve("head", TYPES).weight is None


def test_nothing_left_to_quantize_is_a_skip_and_says_why():
    plan = QuantConfig(weight=None, activation=None, elementwise=None).resolve(NAME, TYPES)
    assert plan == LayerPlan(None, None, True, "weight and activation left in floating point by default")
    plan = QuantConfig(elementwise=None).resolve("add", ("Add",), "elementwise")
    assert plan == LayerPlan(None, None, True, "elementwise left in floating point by default")


def test_elementwise_layers_take_nothing_from_activation():
    rule = Rule(name="*", weight={"bits": 2}, activation={"bits": 3}, elementwise={"bits": 4})
    config = QuantConfig(rules=(rule,))
    assert config.resolve("add", ("Add",), "elementwise").activation.bits == 4
    plan = config.resolve(NAME, TYPES, "weighted")
    assert (plan.weight.bits, plan.activation.bits) == (2, 3)


def test_a_rule_for_exactly_one_layer_must_concern_its_kind():
    config = QuantConfig(rules=(Rule(name="add", activation={"bits": 4}),))
    with pytest.raises(
        ValueError, match=r"rule 1 \(name add\) sets activation, but 'add' is a layer of kind elementwise"
    ):
        config.resolve("add", ("Add",), "elementwise")
    config = QuantConfig(rules=(Rule(name=NAME, elementwise="float"),))
    with pytest.raises(ValueError, match="takes weight, activation and nonlinear only"):
        config.resolve(NAME, TYPES)


def test_unknown_kind():
    with pytest.raises(
        ValueError, match="kind must be one of weighted, elementwise, nonlinear; got 'weight'. Did you mean weighted"
    ):
        QuantConfig().resolve(NAME, TYPES, "weight")


@pytest.mark.parametrize(
    "rules, message",
    [
        ([Rule(name="*", weight={"threshold": 0.1})], "method lsq has no setting 'threshold'"),
        (
            [Rule(name="*", weight={"bits": 4}), Rule(name=NAME, weight={"method": "xnor"})],
            "bits of method xnor must be 1",
        ),
        ([Rule(name="*", weight={"bits": 1})], "1-bit weights of method lsq need grid 'interval'"),
    ],
)
def test_settings_that_do_not_add_up_name_layer_and_rules(rules, message):
    with pytest.raises(ValueError, match=rf"weight of layer '{NAME}' \(rule .*default\): {message}"):
        QuantConfig(rules=tuple(rules)).resolve(NAME, TYPES)


def test_a_setting_waits_for_the_rule_that_brings_its_method():
    config = QuantConfig(
        rules=(Rule(name="backbone.*", weight={"threshold": 0.1}), Rule(name=NAME, weight={"method": "ttq"}))
    )
    assert config.resolve(NAME, TYPES).weight.threshold == 0.1
