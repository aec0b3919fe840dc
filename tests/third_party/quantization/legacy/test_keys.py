import pytest

from third_party.quantization.legacy import is_legacy, split_legacy
from third_party.quantization.legacy.keys import DEFAULTS, PROGRESSIVE_DEFAULTS, read_keys
from third_party.quantization.spec import QuantConfig

PATH = "MODEL.QUANTIZATION"
WRONG = {
    bool: [1, "True", None],
    int: ["3", None, True],
    float: ["3", None, True],
    str: [3, None],
    list: ["a", [3]],
    dict: [[], 1],
}


def test_todays_settings_are_not_legacy():
    assert not is_legacy({})
    assert not is_legacy(QuantConfig().to_mapping())
    assert not is_legacy({"WEIGHT": {}, "weight": {}})


@pytest.mark.parametrize("key", DEFAULTS)
def test_every_old_key_is_legacy(key):
    assert is_legacy({key: DEFAULTS[key]})
    assert split_legacy({key: 1, "WEIGHT": 2}) == ({key: 1}, {"WEIGHT": 2})


def test_misspelt_old_keys_are_legacy_and_refused():
    assert is_legacy({"fm_bits": 4})
    with pytest.raises(ValueError, match=f"{PATH}.fm_bits: no such setting. Did you mean fm_bit"):
        read_keys({"fm_bits": 4})


def test_defaults_fill_what_is_not_given():
    keys = read_keys({"fm_bit": 4.0, "progressive": {"enable": True}})
    assert keys == {**DEFAULTS, "fm_bit": 4.0, "progressive": {**PROGRESSIVE_DEFAULTS, "enable": True}}


@pytest.mark.parametrize("key", DEFAULTS)
def test_types_of_keys(key):
    for value in WRONG[type(DEFAULTS[key])]:
        with pytest.raises(ValueError, match=f"^{PATH}.{key}: "):
            read_keys({key: value})


@pytest.mark.parametrize("key", PROGRESSIVE_DEFAULTS)
def test_types_of_progressive_keys(key):
    for value in WRONG[type(PROGRESSIVE_DEFAULTS[key])]:
        with pytest.raises(ValueError, match=f"^{PATH}.progressive.{key}: "):
            read_keys({"progressive": {key: value}})


@pytest.mark.parametrize("mapping", [{"WEIGHT": {}}, {"fm_enable": True, "RULES": []}, {"progressive": {"steps": [1]}}])
def test_other_keys_are_refused(mapping):
    with pytest.raises(ValueError, match="no such setting"):
        read_keys(mapping)
