"""Policy sections besides ``on init``: norms, element-wise layers, epochs."""

from collections.abc import Collection, Sequence
from typing import Any

from ..spec.choices import hint
from ..spec.parsing import located
from ..spec.roles import Role
from ..spec.schedule import SetBits
from .keys import Word, check_like, whole
from .layers import name_of
from .policy import Block
from .words import check_word, put_over, translate_words

_NORM_WORDS = ("enable", "fixpoint", "fix_point", "fixed_point")
_EPOCH_WORDS = ("bit", "enable")
_ELEMENTWISE_METHODS = ("lsq", "aqd", "lsq_plus")


def norm_setting(blocks: Sequence[Block], default: str) -> str:
    """BATCH_NORM from the sections ``on norm``; without one, the default.

    Raises:
        ValueError: a word with no translation, or single norms.
    """
    setting = default
    for block in blocks:
        _refuse_selection(block, "BATCH_NORM is one setting for all layers")
        for name, word in block.words.items():
            _check_known(name, word, _NORM_WORDS, "on norm")
            check_like(word.value, False, word.where)
            setting = "fixed_point" if word.value else "float"
    return setting


def elementwise_section(blocks: Sequence[Block], activation_method: str | None) -> dict[str, Any]:
    """ELEMENTWISE from the sections ``on eltwise``; without one, additions stay in floating point as in the fork.

    Raises:
        ValueError: a word with no translation, or single layers.
    """
    words: dict[str, Word] = {}
    for block in blocks:
        _refuse_selection(block, "additions and concatenations have no numbers here; write RULES by NAME")
        for name, word in block.words.items():
            check_word(name, word)
        words = put_over(words, block.words)
    if not words:
        return {"ENABLED": False}
    method = activation_method if activation_method in _ELEMENTWISE_METHODS else "lsq"
    return translate_words(words, Role.ACTIVATION, method)


def _refuse_selection(block: Block, reason: str) -> None:
    if block.indices is not None or block.roles:
        raise ValueError(f"{block.where}: section {block.section} takes 'by_index: all' only: {reason}")


def schedule(
    blocks: Sequence[Block],
    quantized: Collection[Role],
    layer_names: Sequence[str] | None,
    iterations_per_epoch: int | None,
) -> list[dict[str, Any]]:
    """SCHEDULE from the sections ``on epoch``.

    Args:
        blocks: of these sections.
        quantized: what is quantized from the start; nothing else has a quantizer to change.
        layer_names: all layers in the model's order, for those given by number.
        iterations_per_epoch: what an epoch is here, where training counts iterations.

    Raises:
        ValueError: a word with no translation, or one of these arguments is missing and needed.
    """
    steps = []
    for block in blocks:
        if iterations_per_epoch is None:
            raise ValueError(
                f"{block.where}: training counts iterations; translate with iterations_per_epoch, or write SCHEDULE"
            )
        roles = _roles(block, quantized)
        names = (
            ["*"]
            if block.indices is None
            else [name_of(i, layer_names, f"{block.where}: by_index") for i in block.indices]
        )
        for trigger in block.triggers:
            for name, word in block.words.items():
                head = {"ITERATION": trigger * iterations_per_epoch}
                action = _action(name, word)
                steps += [{**head, "NAME": layer, **roles, **action} for layer in names]
    return sorted(steps, key=lambda step: step["ITERATION"])


def _roles(block: Block, quantized: Collection[Role]) -> dict[str, str]:
    missing = [role.value for role in block.roles if role not in quantized]
    if missing or not quantized:
        raise ValueError(
            f"{block.where}: {' and '.join(missing) or 'nothing'} is quantized from the start, so no epoch can change "
            "it; enable it, and write SCHEDULE with set_enabled False at ITERATION 0"
            if missing
            else f"{block.where}: nothing is quantized from the start, so no epoch can change it"
        )
    roles = set(block.roles or quantized)
    return {} if len(roles) > 1 else {"ROLE": roles.pop().value}


def _action(name: str, word: Word) -> dict[str, Any]:
    _check_known(name, word, _EPOCH_WORDS, "on epoch")
    check_word(name, word)
    if name == "enable":
        return {"ACTION": "set_enabled", "VALUE": word.value}
    bits = whole(word, at_least=1)
    if bits == 32:
        return {"ACTION": "set_enabled", "VALUE": False}
    with located(word.where):
        return {"ACTION": SetBits.action, "BITS": SetBits(bits).bits}


def _check_known(name: str, word: Word, known: Sequence[str], section: str) -> None:
    if name not in known:
        raise ValueError(
            f"{word.where}: has no translation in section {section!r}.{hint(name, known)} Known: {', '.join(known)}"
        )
