"""The grammar of the fork's policy files.

Sections ``on init:``, ``on norm:``, ``on eltwise:`` and ``on epoch <numbers>:``; in them selectors ``by_index: all`` or
``by_index: 8 36 37`` and ``by_tag: fm`` or ``wt``, followed by lines ``name: value``; ``#`` starts a comment.

Selectors on successive lines belong together. Selectors after values begin a new block, in which a missing ``by_index``
is that of the block before; a missing ``by_tag`` means both tags, and is refused where the block before had one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..spec.choices import hint
from ..spec.roles import Role
from .keys import TAGS, Word

SECTIONS = ("init", "norm", "eltwise", "epoch")
SELECTORS = ("by_index", "by_tag")

_HEADER = re.compile(r"on\s+(\S+?)(?:\s+([^:]*))?\s*:")
_LINE = re.compile(r"([^:\s]+)\s*:\s*(.*)")


@dataclass
class Block:
    """Values, and for what they are.

    Attributes:
        section: one of :data:`SECTIONS`.
        where: file and line at which it begins, for messages.
        triggers: the epochs of section "epoch".
        indices: layers in the model's order; None for all.
        roles: what in them; empty when no ``by_tag`` says it.
        words: the values.
        is_indexed: a ``by_index`` came before.
        is_tag_unclear: the block before had a ``by_tag``, this one has none yet.
    """

    section: str
    where: str
    triggers: tuple[int, ...] = ()
    indices: tuple[int, ...] | None = None
    roles: tuple[Role, ...] = ()
    words: dict[str, Word] = field(default_factory=dict)
    is_indexed: bool = False
    is_tag_unclear: bool = False


def parse_policy(text: str, path: str) -> list[Block]:
    """The blocks of a policy file, in order.

    Args:
        text: its content.
        path: its name, for messages.

    Raises:
        ValueError: a line that does not fit the grammar, or selectors without values; names file and line.
    """
    blocks: list[Block] = []
    for where, line in _lines(text, path):
        header = _HEADER.fullmatch(line)
        pair = _LINE.fullmatch(line)
        if header:
            _check_complete(blocks)
            blocks.append(_section(header.group(1), header.group(2) or "", where))
        elif not pair or not pair.group(2):
            raise ValueError(f"{where}: {line!r} is neither 'on <section>:' nor 'name: value'")
        elif not blocks:
            raise ValueError(f"{where}: {line!r} stands before the first section, such as 'on init:'")
        elif pair.group(1) in SELECTORS:
            if blocks[-1].words:
                blocks.append(_next_block(blocks[-1], where))
            _select(blocks[-1], pair.group(1), pair.group(2), where)
        else:
            _assign(blocks, pair.group(1), pair.group(2), where)
    _check_complete(blocks)
    if not blocks:
        raise ValueError(f"{path}: the policy file says nothing; set policy to '' for none")
    return blocks


def _lines(text: str, path: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#", 1)[0].strip()
        if content:
            yield f"{path}, line {number}", content


def _section(name: str, triggers: str, where: str) -> Block:
    if name not in SECTIONS:
        raise ValueError(f"{where}: section {name!r} is not one of {', '.join(SECTIONS)}.{hint(name, SECTIONS)}")
    numbers = _numbers(triggers, f"{where}: triggers") if triggers.strip() else ()
    if bool(numbers) != (name == "epoch"):
        need = "needs epochs, such as 'on epoch 3 6:'" if name == "epoch" else "takes no triggers"
        raise ValueError(f"{where}: section {name} {need}; got {triggers!r}")
    return Block(name, where, numbers)


def _next_block(before: Block, where: str) -> Block:
    return Block(
        before.section,
        where,
        before.triggers,
        before.indices,
        is_indexed=before.is_indexed,
        is_tag_unclear=bool(before.roles),
    )


def _select(block: Block, selector: str, value: str, where: str) -> None:
    if selector == "by_index":
        block.indices = None if value == "all" else _numbers(value, f"{where}: by_index (or 'all')")
        block.is_indexed = True
    else:
        for tag in value.split():
            if tag not in TAGS:
                raise ValueError(f"{where}: by_tag must be {' or '.join(TAGS)}; got {tag!r}")
        block.roles = tuple(TAGS[tag] for tag in value.split())
        block.is_tag_unclear = False


def _assign(blocks: list[Block], name: str, value: str, where: str) -> None:
    block = blocks[-1]
    if not block.is_indexed and block.section in ("init", "epoch"):
        raise ValueError(f"{where}: {name!r} is for which layers? Put 'by_index: all' or 'by_index: <numbers>' before")
    if block.is_tag_unclear:
        raise ValueError(f"{where}: {name!r} is for fm, wt or both? Repeat 'by_tag: fm' (or 'wt', or 'fm wt')")
    if name in block.words:
        raise ValueError(f"{where}: {name!r} was set before, in {block.words[name].where}")
    block.words[name] = Word(_value(value), f"{where}: {name}")


def _check_complete(blocks: list[Block]) -> None:
    if blocks and not blocks[-1].words:
        raise ValueError(f"{blocks[-1].where}: section {blocks[-1].section} ends without a 'name: value' line")


def _numbers(text: str, where: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").split()
    for part in parts:
        if not part.isdecimal():
            raise ValueError(f"{where} must be whole numbers, 0 or more; got {part!r}")
    return tuple(int(part) for part in parts)


def _value(text: str) -> Any:
    """A truth value, a number, or text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip("'\"")
