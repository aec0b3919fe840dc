"""What cannot be translated is refused by name."""

import pytest

from third_party.quantization.legacy import translate_legacy
from third_party.quantization.legacy.keys import DEFAULTS

from .cases import ON, PATH, PLAIN, translate


@pytest.mark.parametrize(
    "mapping, message",
    [
        ({"BITS": 3}, f"{PATH}.BITS: no such setting. Did you mean wt_bit, fm_bit"),
        ({**ON, "keyword": []}, f"{PATH}.wt_enable: no keyword says by which method the weight is quantized"),
        ({**ON, "keyword": ["pact"]}, f"{PATH}.wt_enable: no keyword says by which method the weight is quantized"),
        (
            {**ON, "keyword": ["ttq"], "wt_bit": 32.0},
            f"{PATH}.fm_enable: no keyword says by which method the activation",
        ),
        ({**ON, "keyword": ["lsqq"]}, f"{PATH}.keyword: 'lsqq' is not known"),
        ({**ON, "global_buffer": {"a": 1}}, f"{PATH}.global_buffer: tensors of a run do not belong in a config"),
        ({**ON, "probe_list": ["a"]}, f"{PATH}.probe_list: tensors of a run do not belong in a config; got ['a']"),
        ({**ON, "stable": 1.5}, f"{PATH}.stable: must be a whole number, at least 0; got 1.5"),
        ({**ON, "stable": -1}, f"{PATH}.stable: must be a whole number, at least 0; got -1"),
        ({**ON, "fm_adaptive": "var-mean"}, f"{PATH}.fm_adaptive: value must be one of none"),
        ({**ON, "wt_adaptive": "median"}, f"{PATH}.wt_adaptive: value must be one of none, var-mean, mean-var"),
        ({**ON, "wt_scale": 0.1}, f"{PATH}.wt_scale: 0.1 has no translation"),
        ({"progressive": {"enable": True}}, f"{PATH}.progressive.enable: nothing is quantized"),
        (
            {**ON, "wt_bit": 4, "progressive": {"enable": True}},
            f"{PATH}.progressive.wt_end_bit: must be the width of all layers, wt_bit 4",
        ),
        ({**ON, "progressive": {"enable": True, "wt_end_bit": 1.5}}, f"{PATH}.progressive.wt_end_bit: must be a whole"),
        (
            {**ON, "progressive": {"enable": True, "wt_start_bit": 32}},
            f"{PATH}.progressive.wt_start_bit: must be at most 16",
        ),
    ],
)
def test_keys_without_translation(mapping, message):
    with pytest.raises(ValueError) as refused:
        translate(mapping)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "policy, message",
    [
        ("on init:\nby_index: all\nbits: 4", "p.txt, line 3: bits: no such word. Did you mean bit"),
        ("on init:\nby_index: all\nbit: four", "p.txt, line 3: bit: value must be a number; got 'four'"),
        ("on init:\nby_index: 4\nbit: 8", "the policy's by_index 4: the model has layers 0 to 3"),
        (
            "on init:\nby_index: 0\nby_tag: wt\nadaptive: var-mean",
            "p.txt, line 4: adaptive: WEIGHT_STANDARDIZATION is one",
        ),
        ("on norm:\nby_index: 3\nenable: True", "p.txt, line 1: section norm takes 'by_index: all' only"),
        ("on norm:\nby_tag: fm\nenable: True", "p.txt, line 1: section norm takes 'by_index: all' only"),
        ("on norm:\nbit: 8", "p.txt, line 2: bit: has no translation in section 'on norm'. Known: enable"),
        ("on norm:\nenable: 3", "p.txt, line 2: enable: value must be True or False; got 3"),
        ("on eltwise:\nby_index: 3\nbit: 8", "p.txt, line 1: section eltwise takes 'by_index: all' only"),
        ("on eltwise:\nbits: 8", "p.txt, line 2: bits: no such word"),
        ("on epoch 1:\nby_index: all\nscale: 1.0", "p.txt, line 3: scale: has no translation in section 'on epoch'"),
        ("on epoch 1:\nby_index: 9\nbit: 4", "p.txt, line 1: by_index 9: the model has layers 0 to 3"),
        ("on epoch 1:\nby_index: all\nbit: 2.5", "p.txt, line 3: bit: must be a whole number"),
        ("on epoch 1:\nby_index: all\nbit: 20", "p.txt, line 3: bit: bits of set_bits must be"),
    ],
)
def test_policies_without_translation(policy, message):
    with pytest.raises(ValueError) as refused:
        translate(ON, policy)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "mapping, policy, missing, message",
    [
        (ON, "on init:\nby_index: 3\nbit: 8", "layer_names", "a layer's number has a meaning only with"),
        (ON, "on epoch 1:\nby_index: 3\nbit: 8", "layer_names", "a layer's number has a meaning only with"),
        (ON, "on epoch 1:\nby_index: all\nbit: 8", "iterations_per_epoch", "training counts iterations"),
        ({**ON, "progressive": {"enable": True}}, "", "progressive_steps", "do not say when the width changes"),
    ],
)
def test_what_the_old_settings_do_not_say_must_be_given(mapping, policy, missing, message):
    translate(mapping, policy)
    with pytest.raises(ValueError, match=message) as refused:
        translate(mapping, policy, **{missing: None})
    assert missing in str(refused.value)


@pytest.mark.parametrize("start, refused", [(8, True), (16, False)])
def test_progressions_that_differ_cannot_spare_layers_of_another_width(start, refused):
    mapping = {**ON, "progressive": {"enable": True, "fm_start_bit": start}}
    policy = "on init:\nby_index: 3\nbit: 8"
    if refused:
        with pytest.raises(ValueError, match="cannot leave out 'head.cls', whose width the policy sets"):
            translate(mapping, policy)
    else:
        assert translate(mapping, policy)["TRAINING"]["PROGRESSIVE"]["END_BITS"] == 2


def test_all_needs_no_layer_names():
    assert translate(ON, "on init:\nby_index: all\nbit: 2", layer_names=None) == PLAIN


@pytest.mark.parametrize(
    "tag, missing",
    [("by_tag: fm\n", "activation is quantized from the start, so no epoch"), ("by_tag: wt\n", None), ("", None)],
)
def test_an_epoch_cannot_change_what_is_not_quantized(tag, missing):
    mapping = {**ON, "fm_enable": False}
    policy = f"on epoch 1:\nby_index: all\n{tag}bit: 4"
    if missing:
        with pytest.raises(ValueError, match=missing):
            translate(mapping, policy)
    else:
        assert translate(mapping, policy)["SCHEDULE"][0]["ROLE"] == "weight"
    with pytest.raises(ValueError, match="from the start, so no epoch can change it"):
        translate({}, policy)


def test_a_missing_policy_file_names_the_key():
    with pytest.raises(FileNotFoundError, match=f"{PATH}.policy: cannot read the policy file 'none.txt'"):
        translate({**ON, "policy": "none.txt"})


def test_a_missing_policy_file_on_disk(tmp_path):
    path = tmp_path / "policy.txt"
    with pytest.raises(FileNotFoundError, match=f"{PATH}.policy: cannot read the policy file"):
        translate_legacy({**ON, "policy": str(path)})
    path.write_text("on init:\nby_index: all\nbit: 4\n", encoding="utf-8")
    assert translate_legacy({**ON, "policy": str(path)})["WEIGHT"]["BITS"] == 4


def test_a_scope_that_means_no_layer_lists_near_names():
    with pytest.raises(ValueError, match="rule 2 .* matches no layer. Nearest names: .*backbone"):
        translate({**ON, "scope": ["backbon"]})


def test_a_policy_for_a_layer_out_of_scope_is_refused():
    with pytest.raises(ValueError, match=f"sets layer 'head.cls', which {PATH}.scope leaves out"):
        translate({**ON, "scope": ["backbone"]}, "on init:\nby_index: 3\nbit: 8")


# For each key a value that is not its default: the translation must differ, or the key must be named in a refusal.
# What only says how something works that is switched off is read with it switched on.
UNLIKE_DEFAULT = {
    "keyword": ["aqd"],
    "scope": ["head"],
    "stable": 5,
    "policy": "missing.txt",
    "probe_list": ["a"],
    "global_buffer": {"a": 1},
    "progressive": {"enable": True},
    **{f"{tag}_enable": False for tag in ("fm", "wt")},
    **{f"{tag}_bit": 5.0 for tag in ("fm", "wt")},
    **{f"{tag}_level": 3 for tag in ("fm", "wt")},
    "fm_half_range": False,
    "wt_half_range": True,
    **{f"{tag}_quant_group": 4 for tag in ("fm", "wt")},
    **{f"{tag}_adaptive": "var-mean" for tag in ("fm", "wt")},
    **{f"{tag}_grad_type": "triangle" for tag in ("fm", "wt")},
    **{f"{tag}_{word}": 0.25 for tag in ("fm", "wt") for word in ("boundary", "ratio", "scale", "separator")},
}


def test_every_key_is_noticed_but_the_one_that_needs_no_setting():
    assert set(DEFAULTS) - set(UNLIKE_DEFAULT) == {"padding_after_quant"}


@pytest.mark.parametrize("key", UNLIKE_DEFAULT)
def test_no_key_goes_by_unnoticed(key):
    try:
        assert translate({**ON, key: UNLIKE_DEFAULT[key]}) != PLAIN
    except (ValueError, FileNotFoundError) as refused:
        assert f"{PATH}.{key}" in str(refused)
