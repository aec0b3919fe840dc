"""The keys that the first fork had under MODEL.QUANTIZATION, their defaults and types."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..spec.choices import check_bool, check_number, check_type
from ..spec.config import ROOT
from ..spec.parsing import as_mapping, check_keys, located
from ..spec.roles import Role

TAGS = {"fm": Role.ACTIVATION, "wt": Role.WEIGHT}
"""How the fork called what is quantized: feature maps and weights."""

WORD_DEFAULTS: dict[str, Any] = {
    "enable": False,
    "bit": 32.0,
    "level": 0,
    "half_range": False,
    "quant_group": 0,
    "adaptive": "none",
    "grad_type": "none",
    "boundary": 1.0,
    "ratio": 1.0,
    "scale": 0.5,
    "separator": 0.38,
}
"""Words that exist once for each tag: "fm_bit", "wt_bit"; policy files use them without the tag."""

_GENERAL_DEFAULTS: dict[str, Any] = {
    "keyword": [""],
    "scope": [""],
    "stable": 0,
    "policy": "",
    "padding_after_quant": False,
    "probe_list": [],
    "global_buffer": {},
    "progressive": {},
}

PROGRESSIVE_DEFAULTS: dict[str, Any] = {
    "enable": False,
    "fm_start_bit": 16.0,
    "fm_end_bit": 2.0,
    "wt_start_bit": 16.0,
    "wt_end_bit": 2.0,
    "scope": [""],
}

DEFAULTS: dict[str, Any] = {
    **_GENERAL_DEFAULTS,
    **{f"{tag}_{word}": value for tag in TAGS for word, value in WORD_DEFAULTS.items()},
    "fm_half_range": True,
}


class Word(NamedTuple):
    """A value and where it was written, for messages."""

    value: Any
    where: str


def is_legacy(mapping: Mapping[str, Any]) -> bool:
    """Whether a mapping under MODEL.QUANTIZATION holds keys of the first fork."""
    return bool(split_legacy(mapping)[0])


def split_legacy(mapping: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keys of the first fork, misspelt ones that start as they did too, and all other keys."""
    tags = tuple(f"{tag}_" for tag in TAGS)
    old = {key: value for key, value in mapping.items() if key in DEFAULTS or str(key).startswith(tags)}
    return old, {key: value for key, value in mapping.items() if key not in old}


def read_keys(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """All old keys, with the fork's defaults for those not given.

    Raises:
        ValueError: a key that the fork did not have, or a value of a wrong type.
    """
    given = as_mapping(mapping, ROOT)
    check_keys(given, DEFAULTS, ROOT)
    progressive = as_mapping(given.get("progressive", {}), f"{ROOT}.progressive")
    check_keys(progressive, PROGRESSIVE_DEFAULTS, f"{ROOT}.progressive")
    for key, value in given.items():
        check_like(value, DEFAULTS[key], f"{ROOT}.{key}")
    for key, value in progressive.items():
        check_like(value, PROGRESSIVE_DEFAULTS[key], f"{ROOT}.progressive.{key}")
    return {**DEFAULTS, **given, "progressive": {**PROGRESSIVE_DEFAULTS, **progressive}}


def check_like(value: Any, default: Any, where: str) -> None:
    """Raise ``ValueError`` unless a value has the type of the fork's default."""
    with located(where):
        if isinstance(default, bool):
            check_bool("value", value)
        elif isinstance(default, (int, float)):
            check_number("value", value)
        elif isinstance(default, list):
            check_type("value", value, list, tuple)
            for item in value:
                check_type("each item", item, str)
        elif isinstance(default, Mapping):
            check_type("value", value, Mapping)
        else:
            check_type("value", value, str)


def whole(word: Word, at_least: int) -> int:
    """A number that the fork may have written as a float, checked to be whole."""
    value = word.value
    if value != int(value) or value < at_least:
        raise ValueError(f"{word.where}: must be a whole number, at least {at_least}; got {value!r}")
    return int(value)


def role_words(keys: Mapping[str, Any], tag: str) -> dict[str, Word]:
    """The words of one tag: "bit" for "fm_bit"."""
    return {word: Word(keys[f"{tag}_{word}"], f"{ROOT}.{tag}_{word}") for word in WORD_DEFAULTS}
