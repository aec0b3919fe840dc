"""The whole of the fork's MODEL.QUANTIZATION, turned into today's."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..spec.config import ROOT, QuantConfig
from ..spec.parsing import SettingError
from ..spec.roles import Role
from . import layers, sections
from .keys import TAGS, Word, read_keys, role_words, whole
from .keywords import read_keywords
from .policy import Block, parse_policy
from .progressive import progression, scope_rules
from .words import standardizes


def read_text(path: str) -> str:
    """Content of a local file."""
    return Path(path).read_text(encoding="utf-8")


def translate_legacy(
    mapping: Mapping[str, Any],
    read_file: Callable[[str], str] = read_text,
    *,
    layer_names: Sequence[str] | None = None,
    iterations_per_epoch: int | None = None,
    progressive_steps: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Turn settings of the first fork into a mapping for :meth:`QuantConfig.from_mapping`.

    Args:
        mapping: the old keys under MODEL.QUANTIZATION, nothing else.
        read_file: gives the text of the policy file for its path.
        layer_names: qualified names of the quantizable layers in the model's order; needed when a policy names layers
            by number. With them every scope is checked to mean a layer.
        iterations_per_epoch: needed when a policy has sections ``on epoch``.
        progressive_steps: iterations at which the width goes down; needed when ``progressive.enable`` is set.

    Raises:
        ValueError: a key, keyword, word or value with no meaning here; nothing is dropped in silence.
        FileNotFoundError: there is no policy file; names the key.
    """
    keys = read_keys(mapping)
    _refuse_run_time(keys)
    blocks = _policy(keys["policy"], read_file)
    keywords = read_keywords(keys["keyword"])
    warmup = _warmup(keys["stable"])
    methods = layers.Methods(keywords.methods, warmup)
    words = layers.LayerWords({role: role_words(keys, tag) for tag, role in TAGS.items()})
    for block in blocks["init"]:
        words.apply(block)
    rules = layers.rules(words, methods, layer_names)
    result: dict[str, Any] = {"ENABLED": False, **layers.sections(words, methods)}
    result["ELEMENTWISE"] = sections.elementwise_section(blocks["eltwise"], keywords.methods.get(Role.ACTIVATION))
    if result["ELEMENTWISE"]["ENABLED"]:
        result["ELEMENTWISE"].update(warmup)
    result["BATCH_NORM"] = sections.norm_setting(blocks["norm"], keywords.settings.get("BATCH_NORM", "float"))
    standardized = [standardizes(words.base[role], role) for role in Role]
    result["WEIGHT_STANDARDIZATION"] = any(standardized) or "WEIGHT_STANDARDIZATION" in keywords.settings
    quantized = _quantized(result, rules)
    result["ENABLED"] = bool(quantized) or result["ELEMENTWISE"]["ENABLED"]
    result["RULES"] = scope_rules(keys["scope"]) + rules
    by_role = {role: result[section] for role, section in layers.SECTION_OF_ROLE.items()}
    training, steps = progression(keys["progressive"], by_role, rules, progressive_steps)
    result["SCHEDULE"] = steps + sections.schedule(blocks["epoch"], quantized, layer_names, iterations_per_epoch)
    result["TRAINING"] = training
    _check(result, layer_names)
    return result


def _refuse_run_time(keys: Mapping[str, Any]) -> None:
    """Keys that carried objects of a run. ``padding_after_quant`` needs no setting: zeros of padding stay exact."""
    for key in ("global_buffer", "probe_list"):
        if keys[key]:
            raise SettingError(
                f"{ROOT}.{key}: tensors of a run do not belong in a config; got {keys[key]!r}. Remove it, and watch "
                "layers with forward hooks"
            )


def _policy(path: str, read_file: Callable[[str], str]) -> dict[str, list[Block]]:
    blocks: dict[str, list[Block]] = {"init": [], "norm": [], "eltwise": [], "epoch": []}
    if not path:
        return blocks
    try:
        text = read_file(path)
    except OSError as error:
        raise FileNotFoundError(f"{ROOT}.policy: cannot read the policy file {path!r}: {error}") from error
    for block in parse_policy(text, path):
        blocks[block.section].append(block)
    return blocks


def _warmup(stable: float) -> dict[str, Any]:
    """``stable``: iterations over which the clipping value is observed before it is learned; 0 for today's default."""
    batches = whole(Word(stable, f"{ROOT}.stable"), at_least=0)
    return {"WARMUP_BATCHES": batches} if batches else {}


def _quantized(result: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> set[Role]:
    return {
        role
        for role, section in layers.SECTION_OF_ROLE.items()
        if result[section]["ENABLED"] or any(isinstance(rule.get(section), dict) for rule in rules)
    }


def _check(result: Mapping[str, Any], layer_names: Sequence[str] | None) -> None:
    """What was translated must be a valid config, in which every rule means a layer."""
    try:
        config = QuantConfig.from_mapping(result)
        if layer_names is not None:
            config.check_matches({name: () for name in layer_names})
        plans = {name: config.resolve(name, ()) for name in layer_names or ()}
        for rule in config.rules:
            if rule.skip is None and rule.name in plans and plans[rule.name].why.startswith("skipped"):
                raise ValueError(f"the policy sets layer {rule.name!r}, which {ROOT}.scope leaves out")
    except ValueError as error:
        raise ValueError(f"settings of the first fork, translated, do not hold: {error}") from error
