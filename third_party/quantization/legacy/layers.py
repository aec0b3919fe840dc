"""From words for layers, by their place in the model, to rules by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..spec.overrides import FLOAT
from ..spec.roles import Role
from .keys import Word
from .policy import Block
from .words import check_word, put_over, standardizes, translate_words

SECTION_OF_ROLE = {Role.WEIGHT: "WEIGHT", Role.ACTIVATION: "ACTIVATION"}

RoleWords = dict[Role, dict[str, Word]]


@dataclass
class LayerWords:
    """Words in force before training: for all layers, and for those that differ, in full.

    Attributes:
        base: by role.
        single: by layer index and role.
    """

    base: RoleWords
    single: dict[int, RoleWords] = field(default_factory=dict)

    def apply(self, block: Block) -> None:
        """Put a block of section "init" over what was said before it; later lines win, as in the fork."""
        for name, word in block.words.items():
            check_word(name, word)
        if block.indices is None:
            targets = [self.base, *self.single.values()]
        else:
            targets = [self.single.setdefault(index, dict(self.base)) for index in block.indices]
        for target in targets:
            for role in block.roles or tuple(Role):
                target[role] = put_over(target[role], block.words)


class Methods:
    """Today's method of each role, asked for only where something is quantized.

    Args:
        methods: by role; a role may lack one.
        warmup: settings that activations get besides.
    """

    def __init__(self, methods: Mapping[Role, str], warmup: Mapping[str, Any]) -> None:
        self._methods = methods
        self._extra = {Role.ACTIVATION: warmup, Role.WEIGHT: {}}

    def settings(self, words: Mapping[str, Word], role: Role) -> dict[str, Any]:
        """Today's settings for a role's words.

        Raises:
            ValueError: a word with no translation, or quantization without a keyword that names the method.
        """
        if role in self._methods:
            settings = translate_words(words, role, self._methods[role])
            return {**settings, **self._extra[role]} if settings["ENABLED"] else settings
        settings = translate_words(words, role, "lsq")
        if settings["ENABLED"]:
            raise ValueError(
                f"{words['enable'].where}: no keyword says by which method the {role.value} is quantized; add one "
                "to MODEL.QUANTIZATION.keyword, such as lsq"
            )
        return settings


def sections(words: LayerWords, methods: Methods) -> dict[str, Any]:
    """The sections WEIGHT and ACTIVATION."""
    return {SECTION_OF_ROLE[role]: methods.settings(words.base[role], role) for role in Role}


def rules(words: LayerWords, methods: Methods, layer_names: Sequence[str] | None) -> list[dict[str, Any]]:
    """A rule for each layer that differs from all.

    Raises:
        ValueError: layer numbers without names to go with them, or beyond the last.
    """
    base = sections(words, methods)
    found = []
    for index, own in sorted(words.single.items()):
        rule: dict[str, Any] = {"NAME": name_of(index, layer_names, "the policy's by_index")}
        for role, section in SECTION_OF_ROLE.items():
            if standardizes(own[role], role) != standardizes(words.base[role], role):
                raise ValueError(f"{own[role]['adaptive'].where}: WEIGHT_STANDARDIZATION is one setting for all layers")
            override = _difference(methods.settings(own[role], role), base[section])
            if override:
                rule[section] = override
        if len(rule) > 1:
            found.append(rule)
    return found


def _difference(settings: dict[str, Any], base: dict[str, Any]) -> Any:
    if settings == base:
        return {}
    if not settings["ENABLED"]:
        return FLOAT
    return {key: value for key, value in settings.items() if base.get(key) != value}


def name_of(index: int, layer_names: Sequence[str] | None, what: str) -> str:
    """The qualified name of a layer known by its place in the model.

    Raises:
        ValueError: without names, or beyond the last.
    """
    if layer_names is None:
        raise ValueError(
            f"{what} {index}: a layer's number has a meaning only with the model's layers in order; translate with "
            "layer_names, or write RULES by NAME"
        )
    if index >= len(layer_names):
        raise ValueError(f"{what} {index}: the model has layers 0 to {len(layer_names) - 1}")
    return layer_names[index]
