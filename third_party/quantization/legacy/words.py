"""What the fork's words for one tensor (``enable``, ``bit``, ``half_range``, ...) mean."""

from collections.abc import Mapping
from typing import Any

from ..spec.choices import check_choice, hint
from ..spec.few_level_methods import TTQSpec, XNORSpec
from ..spec.methods import METHODS
from ..spec.parsing import located
from ..spec.roles import Role
from .keys import WORD_DEFAULTS, Word, check_like, whole

_FLOAT_BITS = 32
# The fork's signed grid has odd multiples of a step as levels; at 8 bits they no longer fit int8.
_INTERVAL_BITS = 7
_METHODS_WITH_THE_FORKS_GRID = ("aqd", "lsq")
_STANDARDIZING = ("var-mean", "mean-var")
_FROM_DATA = "ranges start from the data here; remove it, or choose INITIAL_RANGE"

_REASONS = {
    "boundary": _FROM_DATA,
    "scale": _FROM_DATA,
    "ratio": "there is nothing that it could set; remove it",
    "separator": "only weights of TTQ have a fixed threshold; remove it",
}


def check_word(name: str, word: Word) -> None:
    """Refuse a name that is not one of the fork's, or a value of a wrong type.

    Raises:
        ValueError: naming the word and where it stands.
    """
    if name not in WORD_DEFAULTS:
        known = ", ".join(WORD_DEFAULTS)
        raise ValueError(f"{word.where}: no such word.{hint(name, WORD_DEFAULTS)} Known: {known}")
    check_like(word.value, WORD_DEFAULTS[name], word.where)


def put_over(words: Mapping[str, Word], newer: Mapping[str, Word]) -> dict[str, Word]:
    """Words with newer ones on top. A new ``bit`` replaces an old ``level`` as well, and the other way round."""
    kept = dict(words)
    for one, other in (("bit", "level"), ("level", "bit")):
        if one in newer and other not in newer:
            kept.pop(other, None)
    return {**kept, **newer}


def standardizes(words: Mapping[str, Word], role: Role) -> bool:
    """Whether ``adaptive`` asks for zero mean and unit variance.

    Raises:
        ValueError: another meaning, or one for activations.
    """
    word = words.get("adaptive", Word("none", ""))
    allowed = ["none", *(_STANDARDIZING if role is Role.WEIGHT else ())]
    with located(word.where):
        check_choice("value", word.value, allowed, f"for the {role.value}: other meanings have no translation")
    return word.value in _STANDARDIZING


def translate_words(words: Mapping[str, Word], role: Role, method: str) -> dict[str, Any]:
    """Today's settings of one tensor.

    Signed tensors of LSQ and AQD keep the fork's grid without zero up to 7 bits; at 8 and more, where it does not
    fit integers of that width, they get the grid with zero.

    Args:
        words: the fork's words; those not given leave today's defaults.
        role: what the tensor is.
        method: today's name of its method.

    Raises:
        ValueError: a word with no translation.
    """
    method = _with_gradient(words, method, role)
    _refuse_others(words, method)
    if "enable" in words and not words["enable"].value:
        return {"ENABLED": False}
    width = _width(words, method)
    if width is None:
        return {"ENABLED": False}
    settings = {"ENABLED": True, "METHOD": method, **width}
    if "quant_group" in words:
        groups = whole(words["quant_group"], at_least=0)
        settings["GRANULARITY"] = groups if groups > 1 else "tensor"
    separator = words.get("separator")
    if method == "ttq" and separator is not None:
        is_default = separator.value == WORD_DEFAULTS["separator"]
        settings["THRESHOLD"] = TTQSpec().threshold if is_default else separator.value
    return settings | _range(words, role, method, width.get("BITS", 8))


def _with_gradient(words: Mapping[str, Word], method: str, role: Role) -> str:
    word = words.get("grad_type", Word("none", ""))
    kind = word.value.lower()
    if kind == "triangle" and method in ("xnor", "bireal") and role is Role.ACTIVATION:
        return "bireal"
    with located(word.where):
        check_choice("value", kind, ["none", "ste"], f"with {role.value} of method {method} (triangle: with xnor)")
    return method


def _refuse_others(words: Mapping[str, Word], method: str) -> None:
    for name, reason in _REASONS.items():
        is_used = name == "separator" and method == "ttq"
        if name in words and words[name].value != WORD_DEFAULTS[name] and not is_used:
            raise ValueError(f"{words[name].where}: {words[name].value!r} has no translation: {reason}")


def _width(words: Mapping[str, Word], method: str) -> dict[str, Any] | None:
    """BITS, and LEVELS where the method counts them; None for floating point."""
    bit, level = words.get("bit"), words.get("level")
    bits = whole(bit, at_least=1) if bit is not None else None
    levels = whole(level, at_least=0) if level is not None else 0
    supported = METHODS[method].supported_bits
    if len(supported) == 1 and bits in (None, _FLOAT_BITS):
        bits = supported[0]
    if method == "learned_threshold" and levels in (2, 3, 4):
        needed = 1 if levels == 2 else 2
        if bits not in (None, _FLOAT_BITS, needed):
            raise ValueError(f"{level.where if level else ''}: {levels} levels need bit {needed}; got {bits}")
        return {"BITS": needed, "LEVELS": levels}
    if levels and bits in (None, _FLOAT_BITS):
        bits = max(levels.bit_length() - 1, 1)
    if bits is None:
        return {}
    expected = 3 if method == "ttq" else 2**bits
    if level is not None and levels not in (0, expected):
        raise ValueError(f"{level.where}: method {method} has {expected} levels with {bits} bits; got {levels}")
    if bits == _FLOAT_BITS:
        return None
    if bits not in supported:
        raise ValueError(
            f"{bit.where if bit else method}: must be {METHODS[method].allowed_bits()} with method {method}, or 32 for "
            f"floating point; got {bits}"
        )
    return {"BITS": bits, **({"LEVELS": 2**bits} if method == "learned_threshold" else {})}


def _range(words: Mapping[str, Word], role: Role, method: str, bits: int) -> dict[str, Any]:
    """Sign and grid."""
    half = words.get("half_range")
    if half is not None and half.value and role is Role.WEIGHT:
        raise ValueError(f"{half.where}: must be False: weights have negative values; got True")
    if issubclass(METHODS[method], (XNORSpec, TTQSpec)):
        return {}
    settings: dict[str, Any] = {}
    if half is not None and role is Role.ACTIVATION:
        settings["SIGNED"] = not half.value
    is_signed = role is Role.WEIGHT or settings.get("SIGNED", False)
    if is_signed and method in _METHODS_WITH_THE_FORKS_GRID:
        settings["GRID"] = "interval" if bits <= _INTERVAL_BITS else "integer"
    return settings
