import math

import pytest

from third_party.quantization.spec.choices import (
    check_bool,
    check_choice,
    check_number,
    check_type,
    check_whole,
    hint,
    near_matches,
)


def test_near_matches_ignore_case_and_keep_the_spelling_of_the_known():
    assert near_matches("bit", ["BITS", "GRID"]) == ["BITS"]
    assert near_matches("zzz", ["BITS", "GRID"]) == []


def test_hint_is_empty_when_nothing_is_similar():
    assert hint("BIT", ["BITS"]) == " Did you mean BITS?"
    assert hint("zzz", ["BITS"]) == ""


def test_choice_names_field_value_and_allowed():
    check_choice("grid", "integer", ("integer", "interval"))
    with pytest.raises(ValueError, match=r"grid must be one of integer, interval; got 'integr'. Did you mean integer"):
        check_choice("grid", "integr", ("integer", "interval"))
    with pytest.raises(ValueError, match="got 3"):
        check_choice("grid", 3, ("integer",))


@pytest.mark.parametrize("value", [True, "1", None, math.nan, math.inf, -0.1, 1.1])
def test_number_refuses(value):
    with pytest.raises(ValueError, match="share must be a number at least 0, at most 1; got"):
        check_number("share", value, at_least=0, at_most=1)


@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_number_takes_its_bounds(value):
    check_number("share", value, at_least=0, at_most=1)


def test_above_excludes_its_bound():
    with pytest.raises(ValueError, match="above 0"):
        check_number("share", 0, above=0)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_whole_refuses_other_types(value):
    with pytest.raises(ValueError, match="n must be a whole number; got"):
        check_whole("n", value)


def test_whole_checks_bounds():
    check_whole("n", 1, at_least=1)
    with pytest.raises(ValueError, match="n must be a number at least 1; got 0"):
        check_whole("n", 0, at_least=1)


@pytest.mark.parametrize("value", [0, 1, None, "True"])
def test_bool_refuses_what_is_only_like_one(value):
    with pytest.raises(ValueError, match="flag must be True or False; got"):
        check_bool("flag", value)


def test_type_names_what_is_allowed():
    check_type("x", None, int, type(None))
    with pytest.raises(ValueError, match="x must be int or None; got 'a'"):
        check_type("x", "a", int, type(None))
