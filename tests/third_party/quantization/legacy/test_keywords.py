import pytest

from third_party.quantization.legacy.keywords import KEYWORDS, REFUSED, read_keywords
from third_party.quantization.spec import METHODS, Role

ACTIVATION, WEIGHT = Role.ACTIVATION, Role.WEIGHT


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_methods_exist_and_suit_their_roles(keyword):
    meaning = KEYWORDS[keyword]
    assert meaning.methods or meaning.settings
    for role, method in meaning.methods.items():
        assert METHODS[method]().for_role(role).method == method


@pytest.mark.parametrize(
    "keywords, methods",
    [
        ([], {}),
        (["", " "], {}),
        (["lsq"], {ACTIVATION: "lsq", WEIGHT: "lsq"}),
        (["AQD"], {ACTIVATION: "aqd", WEIGHT: "aqd"}),
        (["lsq", "lsq"], {ACTIVATION: "lsq", WEIGHT: "lsq"}),
        (["pact"], {ACTIVATION: "pact"}),
        (["pact", "dorefa"], {ACTIVATION: "pact", WEIGHT: "dorefa"}),
        (["ttq", "lsq"], {ACTIVATION: "lsq", WEIGHT: "ttq"}),
        (["ternary"], {WEIGHT: "ttq"}),
        (["lq_net"], {ACTIVATION: "lq_net", WEIGHT: "lq_net"}),
        (["xnor"], {ACTIVATION: "xnor", WEIGHT: "xnor"}),
        (["xnor++"], {ACTIVATION: "xnor_plus_plus", WEIGHT: "xnor_plus_plus"}),
        (["bireal"], {ACTIVATION: "bireal", WEIGHT: "binary_mean"}),
        (["fatnn"], {ACTIVATION: "learned_threshold", WEIGHT: "learned_threshold"}),
        (["lsq+", "binary-mean"], {ACTIVATION: "lsq_plus", WEIGHT: "binary_mean"}),
    ],
)
def test_methods(keywords, methods):
    meaning = read_keywords(keywords)
    assert meaning.methods == methods and meaning.settings == {}


def test_options():
    meaning = read_keywords(["lsq", "fix_point", "standardization"])
    assert meaning.settings == {"BATCH_NORM": "fixed_point", "WEIGHT_STANDARDIZATION": True}
    assert meaning.methods == {ACTIVATION: "lsq", WEIGHT: "lsq"}


@pytest.mark.parametrize("keywords", [["lsq", "aqd"], ["pact", "lsq+"], ["ttq", "binary-mean", "lsq"]])
def test_methods_that_contradict_each_other(keywords):
    with pytest.raises(ValueError, match=r"MODEL.QUANTIZATION.keyword: .* name different methods for the .*Keep one"):
        read_keywords(keywords)


@pytest.mark.parametrize("keyword", REFUSED)
def test_words_without_translation_say_why(keyword):
    with pytest.raises(ValueError) as refused:
        read_keywords(["lsq", keyword])
    text = f"MODEL.QUANTIZATION.keyword: '{keyword}' has no translation: {REFUSED[keyword]}"
    assert str(refused.value) == text


@pytest.mark.parametrize(
    "keyword, near", [("lsqq", "lsq"), ("dorfa", "dorefa"), ("binreal", "bireal"), ("debug-me", None)]
)
def test_unknown_words_are_refused_with_near_matches(keyword, near):
    with pytest.raises(ValueError, match=f"keyword: '{keyword}' is not known") as refused:
        read_keywords(["lsq", keyword])
    assert ("Did you mean" in str(refused.value)) is (near is not None)
    assert near is None or near in str(refused.value).split("Did you mean")[1].split("?")[0].replace(",", "").split()
