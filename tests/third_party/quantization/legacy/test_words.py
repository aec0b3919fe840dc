import pytest

from third_party.quantization.legacy.keys import WORD_DEFAULTS, Word
from third_party.quantization.legacy.words import check_word, put_over, standardizes, translate_words
from third_party.quantization.spec import METHODS, Role, spec_from_mapping

FM, WT = Role.ACTIVATION, Role.WEIGHT


def words(**values):
    return {name: Word(value, f"the key {name}") for name, value in values.items()}


@pytest.mark.parametrize(
    "role, method, given, expected",
    [
        (FM, "lsq", {"enable": False, "bit": 2}, {"ENABLED": False}),
        (FM, "lsq", {"bit": 32.0}, {"ENABLED": False}),
        (FM, "lsq", {"bit": 8}, {"BITS": 8}),
        (FM, "lsq", {"enable": True, "bit": 4.0, "half_range": True}, {"BITS": 4, "SIGNED": False}),
        (FM, "aqd", {"bit": 4, "half_range": False}, {"BITS": 4, "SIGNED": True, "GRID": "interval"}),
        (FM, "aqd", {"bit": 8, "half_range": False}, {"BITS": 8, "SIGNED": True, "GRID": "integer"}),
        (WT, "lsq", {"bit": 2, "half_range": False}, {"BITS": 2, "GRID": "interval"}),
        (WT, "lsq", {"bit": 7}, {"BITS": 7, "GRID": "interval"}),
        (WT, "lsq", {"bit": 8}, {"BITS": 8, "GRID": "integer"}),
        (WT, "dorefa", {"bit": 3}, {"BITS": 3}),
        (WT, "lsq", {"bit": 3, "level": 8}, {"BITS": 3, "GRID": "interval"}),
        (WT, "lsq", {"level": 16}, {"BITS": 4, "GRID": "interval"}),
        (WT, "lsq", {"bit": 32.0, "level": 16}, {"BITS": 4, "GRID": "interval"}),
        (FM, "lsq", {"bit": 3, "quant_group": 0}, {"BITS": 3, "GRANULARITY": "tensor"}),
        (FM, "lsq", {"bit": 3, "quant_group": 1}, {"BITS": 3, "GRANULARITY": "tensor"}),
        (FM, "lsq", {"bit": 3, "quant_group": 4}, {"BITS": 3, "GRANULARITY": 4}),
        (FM, "lsq", {"bit": 3, "grad_type": "STE"}, {"BITS": 3}),
        (FM, "xnor", {"bit": 32.0, "half_range": True}, {"BITS": 1}),
        (FM, "xnor", {"grad_type": "triangle"}, {"METHOD": "bireal", "BITS": 1}),
        (WT, "xnor", {"bit": 1, "level": 2}, {"BITS": 1}),
        (WT, "ttq", {"bit": 2, "level": 3}, {"BITS": 2}),
        (WT, "ttq", {"separator": 0.2}, {"BITS": 2, "THRESHOLD": 0.2}),
        (WT, "ttq", {"separator": 0.38}, {"BITS": 2, "THRESHOLD": 0.05}),
        (WT, "lq_net", {"bit": 2}, {"BITS": 2}),
        (FM, "lq_net", {"bit": 2, "half_range": True}, {"BITS": 2, "SIGNED": False}),
        (WT, "learned_threshold", {"level": 2}, {"BITS": 1, "LEVELS": 2}),
        (WT, "learned_threshold", {"bit": 2, "level": 3}, {"BITS": 2, "LEVELS": 3}),
        (WT, "learned_threshold", {"bit": 2}, {"BITS": 2, "LEVELS": 4}),
        (WT, "learned_threshold", {"bit": 1}, {"BITS": 1, "LEVELS": 2}),
        (FM, "pact", {"bit": 4, "boundary": 1.0, "scale": 0.5, "ratio": 1.0, "separator": 0.38}, {"BITS": 4}),
        (FM, "lsq", {}, {}),
    ],
)
def test_translation(role, method, given, expected):
    settings = translate_words(words(**given), role, method)
    if expected != {"ENABLED": False}:
        expected = {"ENABLED": True, "METHOD": method, **expected}
    assert settings == expected
    if settings.pop("ENABLED"):
        spec = spec_from_mapping({name.lower(): value for name, value in settings.items()})
        assert spec.for_role(role).bits == expected.get("BITS", spec.bits)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("role", Role)
def test_every_width_a_method_has_can_be_said_with_bit(method, role):
    if role in METHODS[method].roles:
        for bits in METHODS[method].supported_bits:
            assert translate_words(words(bit=float(bits)), role, method)["BITS"] == bits


@pytest.mark.parametrize(
    "role, method, given, message",
    [
        (FM, "lsq", {"bit": 2.5}, "the key bit: must be a whole number"),
        (FM, "lsq", {"bit": 0}, "the key bit: must be a whole number, at least 1"),
        (
            FM,
            "lsq",
            {"bit": 20},
            "the key bit: must be a whole number from 1 to 16 with method lsq, or 32 for floating point; got 20",
        ),
        (FM, "xnor", {"bit": 4}, "the key bit: must be 1 with method xnor, or 32"),
        (FM, "lsq", {"bit": 2, "level": 3}, "the key level: method lsq has 4 levels with 2 bits; got 3"),
        (FM, "lsq", {"level": 5}, "the key level: method lsq has 4 levels with 2 bits; got 5"),
        (FM, "lsq", {"level": -1}, "the key level: must be a whole number, at least 0"),
        (WT, "ttq", {"level": 4}, "the key level: method ttq has 3 levels with 2 bits; got 4"),
        (WT, "learned_threshold", {"bit": 2, "level": 2}, "the key level: 2 levels need bit 1; got 2"),
        (WT, "lsq", {"half_range": True}, "the key half_range: must be False: weights have negative values"),
        (WT, "lsq", {"quant_group": -1}, "the key quant_group: must be a whole number, at least 0"),
        (WT, "lsq", {"quant_group": 1.5}, "the key quant_group: must be a whole number"),
        (WT, "lsq", {"boundary": 2.0}, "the key boundary: 2.0 has no translation: ranges start from the data"),
        (FM, "lsq", {"scale": 1.0}, "the key scale: 1.0 has no translation"),
        (FM, "lsq", {"ratio": 0.5}, "the key ratio: 0.5 has no translation"),
        (FM, "lsq", {"separator": 0.5}, "the key separator: 0.5 has no translation: only weights of TTQ"),
        (FM, "lsq", {"enable": False, "scale": 1.0}, "the key scale: 1.0 has no translation"),
        (FM, "lsq", {"grad_type": "triangle"}, "the key grad_type: value must be one of none, ste"),
        (WT, "xnor", {"grad_type": "triangle"}, "the key grad_type: value must be one of none, ste"),
    ],
)
def test_refusals(role, method, given, message):
    with pytest.raises(ValueError) as refused:
        translate_words(words(**given), role, method)
    assert str(refused.value).startswith(message)


def test_a_new_bit_changes_the_levels():
    base = words(enable=True, bit=2, level=4)
    assert translate_words(put_over(base, words(bit=8)), FM, "lsq")["BITS"] == 8
    assert translate_words(put_over(base, words(level=16)), FM, "lsq")["BITS"] == 4
    assert translate_words(put_over(base, words(bit=3, level=8)), FM, "lsq")["BITS"] == 3


@pytest.mark.parametrize("value", ["var-mean", "mean-var"])
def test_adaptive_weights_are_standardized(value):
    assert standardizes(words(adaptive=value), WT)
    assert not standardizes(words(adaptive="none"), WT) and not standardizes({}, FM)
    with pytest.raises(ValueError, match="the key adaptive: value must be one of none for the activation"):
        standardizes(words(adaptive=value), FM)


@pytest.mark.parametrize("name", WORD_DEFAULTS)
def test_words_are_checked_by_type(name):
    check_word(name, Word(WORD_DEFAULTS[name], "here"))
    with pytest.raises(ValueError, match="^here: value must be"):
        check_word(name, Word(None, "here"))


def test_an_unknown_word_lists_near_ones():
    with pytest.raises(ValueError, match="here: no such word. Did you mean bit"):
        check_word("bits", Word(3, "here"))
