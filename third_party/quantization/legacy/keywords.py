"""What the entries of the fork's list ``keyword`` mean."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..spec.choices import hint
from ..spec.config import ROOT
from ..spec.parsing import SettingError
from ..spec.roles import Role


@dataclass(frozen=True)
class Meaning:
    """Methods and settings that a keyword stands for.

    Attributes:
        methods: by role.
        settings: top-level settings, in today's keys.
    """

    methods: dict[Role, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def _both(method: str) -> Meaning:
    return Meaning({Role.ACTIVATION: method, Role.WEIGHT: method})


_LEARNED_THRESHOLD = _both("learned_threshold")
_TTQ = Meaning({Role.WEIGHT: "ttq"})
_STANDARDIZATION = Meaning(settings={"WEIGHT_STANDARDIZATION": True})
_FIXED_POINT = Meaning(settings={"BATCH_NORM": "fixed_point"})

KEYWORDS: dict[str, Meaning] = {
    "aqd": _both("aqd"),
    "lsq": _both("lsq"),
    "lsq+": Meaning({Role.ACTIVATION: "lsq_plus"}),
    "lsq-plus": Meaning({Role.ACTIVATION: "lsq_plus"}),
    "pact": Meaning({Role.ACTIVATION: "pact"}),
    "dorefa": _both("dorefa"),
    "dorefa-net": _both("dorefa"),
    "lq": _both("lq_net"),
    "lq-net": _both("lq_net"),
    "lqnet": _both("lq_net"),
    "xnor": _both("xnor"),
    "xnor-net": _both("xnor"),
    "xnor++": _both("xnor_plus_plus"),
    "xnor-net++": _both("xnor_plus_plus"),
    # Bi-Real Net's triangle gradient is one of activations; its weights are signs times the mean magnitude.
    "bireal": Meaning({Role.ACTIVATION: "bireal", Role.WEIGHT: "binary_mean"}),
    "bi-real": Meaning({Role.ACTIVATION: "bireal", Role.WEIGHT: "binary_mean"}),
    "binary-mean": Meaning({Role.WEIGHT: "binary_mean"}),
    "ttq": _TTQ,
    "ternary": _TTQ,
    "fatnn": _LEARNED_THRESHOLD,
    "non-uniform": _LEARNED_THRESHOLD,
    "learned-threshold": _LEARNED_THRESHOLD,
    "standardization": _STANDARDIZATION,
    "weight-standardization": _STANDARDIZATION,
    "fixpoint": _FIXED_POINT,
    "fix-point": _FIXED_POINT,
    "fixed-point": _FIXED_POINT,
}

_LOSS_REASON = "a keyword cannot say the loss's weight; write TRAINING.QUANTIZATION_LOSS {WEIGHT, KIND}"
_PROX_REASON = "a keyword cannot say when blending starts and ends; write TRAINING.PROX {ENABLED, START, END}"

REFUSED: dict[str, str] = {
    "gamma": "there is no output scale apart from the quantizers'; xnor++ learns one",
    "progressive": "it has a key of its own, progressive.enable",
    "prox": _PROX_REASON,
    "proxquant": _PROX_REASON,
    "quantization-loss": _LOSS_REASON,
    "l1": _LOSS_REASON,
    "l2": _LOSS_REASON,
    "distribution": _LOSS_REASON,
}

_KEY = f"{ROOT}.keyword"


def read_keywords(keywords: Sequence[str]) -> Meaning:
    """What all keywords together mean; empty ones mean nothing.

    A keyword for one role wins over one for both: ["lsq", "ttq"] has activations of LSQ and weights of TTQ.

    Raises:
        ValueError: a keyword with no translation, or several that name different methods for the same role.
    """
    meanings = {text: _meaning(text) for text in keywords if text.strip()}
    settings: dict[str, Any] = {}
    for meaning in meanings.values():
        settings.update(meaning.settings)
    methods: dict[Role, str] = {}
    for role in Role:
        claims = {text: meaning for text, meaning in meanings.items() if role in meaning.methods}
        single = {text: meaning for text, meaning in claims.items() if len(meaning.methods) == 1}
        found = {meaning.methods[role] for meaning in (single or claims).values()}
        if len(found) > 1:
            raise SettingError(
                f"{_KEY}: {', '.join(map(repr, single or claims))} name different methods for the {role.value}: "
                f"{', '.join(sorted(found))}. Keep one"
            )
        if found:
            methods[role] = found.pop()
    return Meaning(methods, settings)


def _meaning(text: str) -> Meaning:
    word = text.strip().lower().replace("_", "-")
    if word in REFUSED:
        raise SettingError(f"{_KEY}: {text!r} has no translation: {REFUSED[word]}")
    if word not in KEYWORDS:
        raise SettingError(
            f"{_KEY}: {text!r} is not known, so its meaning would be lost.{hint(word, KEYWORDS)} "
            f"Known: {', '.join(KEYWORDS)}"
        )
    return KEYWORDS[word]
