"""The fork's ``scope`` and ``progressive`` keys."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..spec.config import ROOT
from ..spec.parsing import SettingError
from ..spec.roles import Role
from ..spec.training_groups import ProgressiveConfig
from .keys import TAGS, Word, whole

_KEY = f"{ROOT}.progressive"


def scope_patterns(entries: Sequence[str]) -> list[str]:
    """A name pattern for each entry of a scope; none for an empty scope, which means everything.

    An entry is one or more whole parts of a qualified name ("backbone" means "backbone.stem.conv1" and
    "model.backbone.stem.conv1"), or a glob.
    """
    patterns = []
    for entry in entries:
        is_glob = re.search(r"[*?\[]", entry)
        if entry.strip():
            patterns.append(entry if is_glob else rf"re:(.*\.)?{re.escape(entry.strip())}(\..*)?")
    return patterns


def scope_rules(entries: Sequence[str]) -> list[dict[str, Any]]:
    """Rules that leave out all layers but those in scope."""
    patterns = scope_patterns(entries)
    inside = [{"NAME": pattern, "SKIP": False} for pattern in patterns]
    return [{"NAME": "*", "SKIP": True}, *inside] if inside else []


def progression(
    keys: Mapping[str, Any],
    sections: Mapping[Role, Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    steps: Sequence[int] | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Bits that go down while training.

    Args:
        keys: the node ``progressive``, complete.
        sections: today's settings of all layers' quantized tensors, by role.
        rules: of single layers.
        steps: iterations at which the width changes, which the node does not say.

    Returns:
        The section TRAINING, and steps of the schedule: one progression of all layers fits the former, others (of
        activations unlike weights, of several parts of the model) become the latter.

    Raises:
        ValueError: switched on, but without ``steps``, with nothing quantized, or not ending with the layers' width.
    """
    if not keys["enable"]:
        return {}, []
    if not steps:
        raise SettingError(
            f"{_KEY}.enable: the old keys do not say when the width changes; translate with progressive_steps, or "
            "write TRAINING.PROGRESSIVE"
        )
    ranges = {
        role: _range(keys, tag, sections[role]) for tag, role in TAGS.items() if sections.get(role, {}).get("ENABLED")
    }
    if not ranges:
        raise SettingError(f"{_KEY}.enable: nothing is quantized, so no width can go down")
    names = scope_patterns(keys["scope"]) or ["*"]
    if len(set(ranges.values())) > 1 or len(names) > 1:
        _refuse_widths_of_rules(rules)
        return {}, [step for name in names for role, ends in ranges.items() for step in _steps(ends, steps, name, role)]
    start, end = next(iter(ranges.values()))
    section = {"ENABLED": True, "START_BITS": start, "END_BITS": end, "STEPS": list(steps), "NAME": names[0]}
    if len(ranges) == 1:
        section["ROLE"] = next(iter(ranges)).value
    return {"PROGRESSIVE": section}, []


def _range(keys: Mapping[str, Any], tag: str, section: Mapping[str, Any]) -> tuple[int, int]:
    start, end = (_bits(keys, f"{tag}_{side}_bit") for side in ("start", "end"))
    if section["BITS"] != end:
        raise SettingError(
            f"{_KEY}.{tag}_end_bit: must be the width of all layers, {tag}_bit {section['BITS']}, with which the "
            f"progression ends; got {end}"
        )
    return start, end


def _refuse_widths_of_rules(rules: Sequence[Mapping[str, Any]]) -> None:
    """Steps of a schedule would also reach layers that the policy gave another width."""
    for rule in rules:
        if any(isinstance(part, Mapping) and "BITS" in part for part in rule.values()):
            raise SettingError(
                f"{_KEY}.enable: progressions that differ between fm and wt or between parts of the model cannot "
                f"leave out {rule['NAME']!r}, whose width the policy sets; write SCHEDULE"
            )


def _bits(keys: Mapping[str, Any], key: str) -> int:
    bits = whole(Word(keys[key], f"{_KEY}.{key}"), at_least=1)
    if bits > 16:
        raise SettingError(f"{_KEY}.{key}: must be at most 16; got {bits}")
    return bits


def _steps(ends: tuple[int, ...], steps: Sequence[int], name: str, role: Role) -> list[dict[str, Any]]:
    widths = ProgressiveConfig(start_bits=ends[0], end_bits=ends[1], steps=tuple(steps))
    head = {"NAME": name, "ROLE": role.value, "ACTION": "set_bits"}
    return [{"ITERATION": at, **head, "BITS": widths.bits_at(at)} for at in (0, *steps)]
