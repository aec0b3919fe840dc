"""What the settings mean for one layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .choices import check_choice
from .overrides import build_spec, merge
from .quant_spec import QuantSpec
from .rules import ROLES_OF_PARTS, Rule

if TYPE_CHECKING:
    from .config import QuantConfig

PARTS_OF_KINDS = {
    "weighted": ("weight", "activation", "nonlinear"),
    "elementwise": ("elementwise",),
    "nonlinear": ("nonlinear",),
}
# A layer of which none of these is quantized stays as it is, whatever its activation function could read.
_DECISIVE = PARTS_OF_KINDS | {"weighted": ("weight", "activation")}


@dataclass(frozen=True)
class LayerPlan:
    """How one layer is quantized.

    Attributes:
        weight: of its weight; None leaves it in floating point.
        activation: of its input; None leaves it in floating point.
        skip: the layer stays as it is.
        nonlinear: of what the activation function reads that a layer with weights carries; None leaves it in
            floating point.
        why: where that comes from, the strongest rule first: "rule 2 (name backbone.stem*), default".
    """

    weight: QuantSpec | None
    activation: QuantSpec | None
    skip: bool
    why: str
    nonlinear: QuantSpec | None = None


def resolve_layer(config: "QuantConfig", name: str, type_names: Sequence[str], kind: str) -> LayerPlan:
    """See :meth:`QuantConfig.resolve`."""
    check_choice("kind", kind, PARTS_OF_KINDS)
    parts = PARTS_OF_KINDS[kind]
    matching = [(number, rule) for number, rule in enumerate(config.rules, 1) if rule.matches(name, type_names)]
    # The sort is stable: within one layer of precedence later rules stay later.
    matching.sort(key=lambda numbered: numbered[1].precision)
    for number, rule in matching:
        _refuse_other_kind(rule, number, name, kind)
    skips = [(number, rule) for number, rule in matching if rule.skip is not None]
    if skips and skips[-1][1].skip:
        return LayerPlan(None, None, True, f"skipped by {_cite(*skips[-1])}")
    relevant = [(n, rule) for n, rule in matching if rule.skip is not None or any(rule.override(p) for p in parts)]
    why = ", ".join([*(_cite(number, rule) for number, rule in reversed(relevant)), "default"])
    specs = {part: _spec(config, part, [rule for _, rule in relevant], f"layer {name!r} ({why})") for part in parts}
    decisive = _DECISIVE[kind]
    if all(specs[part] is None for part in decisive):
        return LayerPlan(None, None, True, f"{' and '.join(decisive)} left in floating point by {why}")
    if kind == "weighted":
        return LayerPlan(specs["weight"], specs["activation"], False, why, specs["nonlinear"])
    return LayerPlan(None, specs[parts[0]], False, why)


def _spec(config: "QuantConfig", part: str, rules: Sequence[Rule], where: str) -> QuantSpec | None:
    settings = config.base_settings(part)
    for rule in rules:
        settings = merge(settings, rule.override(part) or {"enabled": settings["enabled"]})
    try:
        return build_spec(settings, ROLES_OF_PARTS[part])
    except ValueError as error:
        raise ValueError(f"{part} of {where}: {error}") from error


def _refuse_other_kind(rule: Rule, number: int, name: str, kind: str) -> None:
    """A rule for exactly this layer must not say things that do not concern it: it would be ignored."""
    own = PARTS_OF_KINDS[kind]
    foreign = [part for part in ROLES_OF_PARTS if part not in own and rule.override(part)]
    if rule.name == name and foreign:
        raise ValueError(
            f"{_cite(number, rule)} sets {', '.join(foreign)}, but {name!r} is a layer of kind {kind}, which takes "
            f"{', '.join(own[:-1])}{' and ' if own[1:] else ''}{own[-1]} only"
        )


def _cite(number: int, rule: Rule) -> str:
    return f"rule {number} ({rule.describe()})"
