import copy
import pickle

import pytest

from third_party.quantization.spec import NamePattern
from third_party.quantization.spec.names import Precision

NAMES = ["backbone.stem.conv1", "backbone.res2.0.conv1", "backbone.res2.1.conv1", "head.cls", "head.box"]


@pytest.mark.parametrize(
    "text, matched",
    [
        ("head.cls", ["head.cls"]),
        ("head", []),
        ("*", NAMES),
        ("backbone.*", NAMES[:3]),
        ("*.conv1", NAMES[:3]),
        ("backbone.res2.?.conv1", NAMES[1:3]),
        ("backbone.res2.[1-9].conv1", NAMES[2:3]),
        ("HEAD.*", []),
        (r"re:head\.(cls|box)", NAMES[3:]),
        ("re:head", []),
        (r"re:.*res\d.*", NAMES[1:3]),
    ],
)
def test_matches(text, matched):
    pattern = NamePattern(text)
    assert [name for name in NAMES if pattern.matches(name)] == matched


@pytest.mark.parametrize(
    "text, precision",
    [
        ("a.b", Precision.EXACT),
        ("a.*", Precision.PATTERN),
        ("a.?", Precision.PATTERN),
        ("a.[bc]", Precision.PATTERN),
        ("re:a", Precision.PATTERN),
    ],
)
def test_precision(text, precision):
    assert NamePattern(text).precision is precision


def test_precisions_are_ordered():
    assert Precision.TYPE < Precision.PATTERN < Precision.EXACT


@pytest.mark.parametrize("text", ["", "  ", "re:", "re: "])
def test_empty_names_are_refused_with_the_way_out(text):
    with pytest.raises(ValueError, match="Write '\\*' for all layers"):
        NamePattern(text)


def test_bad_regular_expression_is_named():
    with pytest.raises(ValueError, match=r"name 're:\(' is not a regular expression"):
        NamePattern("re:(")


def test_name_must_be_text():
    with pytest.raises(ValueError, match="name must be str; got 3"):
        NamePattern(3)


@pytest.mark.parametrize(
    "text, nearest",
    [
        ("backbone.stem.conv2", "backbone.stem.conv1"),
        ("backbone.stemm.*", "backbone.stem"),
        ("haed.*", "head"),
        (r"re:head\.clss", "head.cls"),
    ],
)
def test_advice_lists_near_names(text, nearest):
    assert nearest in NamePattern(text).advice(NAMES).removeprefix(" Nearest names: ").split(", ")


def test_advice_for_a_container_is_its_glob():
    assert "write 'backbone.*'" in NamePattern("backbone").advice(NAMES)


def test_advice_is_empty_when_nothing_is_near():
    assert NamePattern("zzzzzz").advice(NAMES) == ""


@pytest.mark.parametrize("text", ["a.b", "a.*", "re:a.*"])
def test_equality_hash_and_copies(text):
    pattern = NamePattern(text)
    for twin in (NamePattern(text), copy.deepcopy(pattern), pickle.loads(pickle.dumps(pattern))):
        assert twin == pattern and hash(twin) == hash(pattern) and twin.matches("a.b") is pattern.matches("a.b")
