import pytest

from third_party.quantization.spec import METHODS, LSQSpec, Role, Rule, TTQSpec, XNORSpec
from third_party.quantization.spec.names import Precision
from third_party.quantization.spec.overrides import build_spec, explicit_settings, merge

PARTS = ("weight", "activation", "elementwise")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"skip": True}, "a rule needs name or type"),
        ({"name": "a.*"}, "the rule for name a.\\* changes nothing"),
        ({"module_type": "Linear", "weight": {}}, "the rule for type Linear changes nothing"),
        ({"name": "", "skip": True}, "name must be"),
        ({"name": "re:[", "skip": True}, "not a regular expression"),
        ({"module_type": "nn.Linear", "skip": True}, "type must be the name of a class, such as Conv2d"),
        ({"module_type": 3, "skip": True}, "type must be str"),
        ({"name": "a", "skip": 1}, "skip must be bool or None"),
        ({"name": "a", "skip": "yes"}, "skip must be bool or None"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rule(**arguments)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "override, message",
    [
        ({"bit": 3}, "no method has a setting 'bit'. Did you mean bits"),
        ({"bits": 99}, "bits must be a whole number from 1 to 16, got 99"),
        ({"method": "lsqq"}, "got 'lsqq'. Did you mean lsq"),
        ({"method": ["lsq"], "bits": 2}, "method must be one of"),
        ({"method": "lsq", "threshold": 0.1}, "method lsq has no setting 'threshold'"),
        ({"threshold": 2.0}, "threshold must be a number"),
        ({"enabled": 1}, "enabled must be True or False"),
        ("off", "value must be one of float or a mapping of settings; got 'off'"),
        (3, "value must be a mapping of settings or 'float'; got 3"),
    ],
)
def test_bad_overrides_name_the_part_and_the_rule(part, override, message):
    with pytest.raises(ValueError, match=f"{part} of the rule for name a: .*{message}"):
        Rule(name="a", **{part: override})


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("method", METHODS)
def test_methods_must_suit_the_part(part, method):
    role = Role.WEIGHT if part == "weight" else Role.ACTIVATION
    if role in METHODS[method].roles:
        assert Rule(name="a", **{part: {"method": method}}).override(part) == {"method": method}
    else:
        with pytest.raises(ValueError, match=f"for a layer's {role.value}; got '{method}'"):
            Rule(name="a", **{part: {"method": method}})


def test_float_is_short_for_not_enabled():
    assert Rule(name="a", weight="float") == Rule(name="a", weight={"enabled": False})


def test_an_override_is_a_copy():
    given = {"mean": [1, 2], "std": [1.0, 1.0]}
    rule = Rule(name="a", activation=given)
    given["bits"] = 3
    assert rule.override("activation") == {"mean": (1, 2), "std": (1.0, 1.0)}


@pytest.mark.parametrize(
    "arguments, precision, described",
    [
        ({"module_type": "Linear"}, Precision.TYPE, "type Linear"),
        ({"name": "a.*"}, Precision.PATTERN, "name a.*"),
        ({"name": "a", "module_type": "Linear"}, Precision.EXACT, "name a, type Linear"),
    ],
)
def test_precision_and_description(arguments, precision, described):
    rule = Rule(**arguments, skip=True)
    assert (rule.precision, rule.describe()) == (precision, described)


@pytest.mark.parametrize(
    "arguments, name, types, expected",
    [
        ({"name": "a.*"}, "a.b", (), True),
        ({"name": "a.*"}, "b.a", (), False),
        ({"module_type": "Conv2d"}, "x", ("Wrapped", "Conv2d", "Module"), True),
        ({"module_type": "Conv2d"}, "x", ("Linear", "Module"), False),
        ({"name": "a.*", "module_type": "Conv2d"}, "a.b", ("Conv2d",), True),
        ({"name": "a.*", "module_type": "Conv2d"}, "a.b", ("Linear",), False),
        ({"name": "a.*", "module_type": "Conv2d"}, "b", ("Conv2d",), False),
    ],
)
def test_matching(arguments, name, types, expected):
    assert Rule(**arguments, skip=True).matches(name, types) is expected


@pytest.mark.parametrize("method", METHODS)
def test_explicit_settings_are_those_off_the_methods_defaults(method):
    spec = METHODS[method](warmup_batches=9)
    assert explicit_settings(spec) == {"enabled": True, "method": method, "warmup_batches": 9}


def test_merge_changes_single_settings():
    merged = merge(explicit_settings(LSQSpec(bits=4, granularity="channel")), {"bits": 2})
    assert build_spec(merged, Role.WEIGHT) == LSQSpec(bits=2, granularity="channel")


def test_a_new_method_keeps_what_it_also_has_and_takes_its_own_defaults():
    settings = explicit_settings(TTQSpec(granularity="channel", threshold=0.1))
    assert build_spec(merge(settings, {"method": "lsq"}), Role.WEIGHT) == LSQSpec(granularity="channel")
    settings = explicit_settings(LSQSpec(granularity="channel"))
    assert build_spec(merge(settings, {"method": "xnor"}), Role.WEIGHT) == XNORSpec(granularity="channel")


def test_what_was_set_explicitly_must_suit_the_new_method():
    with pytest.raises(ValueError, match="bits of method xnor must be 1, got 4"):
        build_spec(merge(explicit_settings(LSQSpec(bits=4)), {"method": "xnor"}), Role.WEIGHT)


def test_a_field_that_the_method_lacks_is_refused_when_all_is_known():
    with pytest.raises(ValueError, match="method lsq has no setting 'threshold'"):
        build_spec(merge(explicit_settings(LSQSpec()), {"threshold": 0.1}), Role.WEIGHT)


def test_settings_switch_a_float_tensor_on():
    off = merge(explicit_settings(LSQSpec()), {"enabled": False})
    assert build_spec(off, Role.WEIGHT) is None
    assert build_spec(merge(off, {"bits": 4}), Role.WEIGHT) == LSQSpec(bits=4)
