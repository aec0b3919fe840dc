"""Every field of every method refuses what it cannot be, and says so."""

from dataclasses import fields

import pytest

from third_party.quantization.spec import METHODS, Role, spec_from_mapping
from third_party.quantization.spec.quant_spec import QuantSpec

BAD = {
    "bits": [0, -1, 17, 8.0, True, "8", None],
    "signed": [0, 1, "yes"],
    "symmetric": [None, 1, "yes"],
    "granularity": ["chanel", 0, -2, True, 1.5, None],
    "grid": ["integr", 1, None],
    "initial_range": ["maximum", None],
    "percentile": [0.0, 1.5, "0.9", True],
    "warmup_batches": [0, 1.5, True, "1"],
    "narrow_range": [None, 1],
    "mean": [(0.5,), ("a",), 3],
    "std": [(0.0,), (-1.0,), 3],
    "momentum": [-0.1, 1.1, "0.9"],
    "iterations": [0, 1.5, True],
    "threshold": [0.0, 1.5, None],
    "tied": [1, None],
    "levels": [1, 5, 3.0, True],
}
GOOD = {
    "signed": [None, True, False],
    "granularity": ["tensor", "channel", 1, 4],
    "initial_range": ["max", "percentile", "mse", "lsq"],
    "percentile": [1, 0.5],
    "warmup_batches": [1, 100],
    "narrow_range": [True, False],
    "momentum": [0, 0.5, 1],
    "iterations": [1, 3],
    "threshold": [0.5, 1],
    "tied": [True, False],
}
CASES = [(method, field.name) for method, kind in METHODS.items() for field in fields(kind)]


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_valid_and_checked_in_full(method):
    spec = METHODS[method]()
    assert set(spec.field_checks()) == {field.name for field in fields(spec)}
    assert spec.roles
    for role in spec.roles:
        spec.for_role(role)


@pytest.mark.parametrize("method, name", CASES)
def test_bad_values_are_refused_by_field_name(method, name):
    for value in BAD[name]:
        with pytest.raises(ValueError, match=name):
            METHODS[method](**{name: value})


@pytest.mark.parametrize("method, name", [case for case in CASES if case[1] in GOOD])
def test_good_values_are_taken(method, name):
    for value in GOOD[name]:
        assert getattr(METHODS[method](**{name: value}), name) == value


@pytest.mark.parametrize("method", METHODS)
def test_bits_of_a_method_are_its_supported_bits(method):
    kind = METHODS[method]
    for bits in range(0, 19):
        levels = {"levels": 2 if bits == 1 else 3} if method == "learned_threshold" else {}
        if bits in kind.supported_bits:
            assert kind(bits=bits, **levels).bits == bits
        else:
            with pytest.raises(ValueError, match=f"bits of method {method} must be .*got {bits}"):
                kind(bits=bits)


@pytest.mark.parametrize("method", METHODS)
def test_dict_round_trip(method):
    spec = METHODS[method](warmup_batches=7)
    assert spec_from_mapping(spec.as_dict()) == spec
    assert set(spec.as_dict()) == {"method"} | {field.name for field in fields(spec)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("role", Role)
def test_role_is_refused_with_the_method_and_the_suited_roles(method, role):
    spec = METHODS[method]()
    if role in spec.roles:
        assert spec.for_role(role) is spec
    else:
        with pytest.raises(ValueError, match=f"method {method} quantizes .* only, not a layer's {role.value}"):
            spec.for_role(role)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"grid": "interval", "symmetric": False}, "needs symmetric True"),
        ({"bits": 1, "signed": True}, "no positive level"),
        ({"method": "image", "mean": [1], "std": [1.0, 2.0]}, "same length"),
        ({"method": "learned_threshold", "levels": 2}, "2 levels with 1 bit"),
        ({"method": "learned_threshold", "levels": 4, "bits": 1}, "3 or 4 with 2 bits"),
    ],
)
def test_fields_that_contradict_each_other(settings, message):
    with pytest.raises(ValueError, match=message):
        spec_from_mapping(settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"signed": False}, "signed must not be False for weights"),
        ({"bits": 1}, "1-bit weights of method lsq need grid 'interval'"),
    ],
)
def test_settings_that_do_not_suit_weights(settings, message):
    with pytest.raises(ValueError, match=message):
        spec_from_mapping(settings).for_role(Role.WEIGHT)


def test_unknown_method_and_field_list_near_matches():
    with pytest.raises(ValueError, match="got 'lsqplus'. Did you mean lsq_plus"):
        spec_from_mapping({"method": "lsqplus"})
    with pytest.raises(ValueError, match="method lsq has no setting 'bit'. Did you mean bits"):
        spec_from_mapping({"bit": 3})


def test_bits_message_without_a_method_names_none():
    with pytest.raises(ValueError, match="^bits must be a whole number from 1 to 16, got 99$"):
        QuantSpec(bits=99)
