"""Whether rules and steps of the schedule mean anything in a given model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .choices import hint
from .names import NamePattern
from .plan import LayerPlan
from .roles import Role
from .rules import Rule
from .schedule import SetBits, Step

if TYPE_CHECKING:
    from .config import QuantConfig


def check_matches(config: "QuantConfig", named_types: Mapping[str, Sequence[str]]) -> None:
    """See :meth:`QuantConfig.check_matches`."""
    problems = [
        f"rule {number} ({rule.describe()}) matches no layer.{_rule_advice(rule, named_types)}"
        for number, rule in enumerate(config.rules, 1)
        if not any(rule.matches(name, types) for name, types in named_types.items())
    ]
    patterns = {f"step {n} ({step.describe()})": step.name for n, step in enumerate(config.schedule, 1)}
    progressive = config.training.progressive
    if progressive.enabled:
        patterns[f"progressive (name {progressive.name})"] = progressive.name
    for described, text in patterns.items():
        pattern = NamePattern(text)
        if not any(pattern.matches(name) for name in named_types):
            problems.append(f"{described} matches no layer.{pattern.advice(named_types)}")
    _raise(problems)


def check_plans(config: "QuantConfig", plans: Mapping[str, LayerPlan]) -> None:
    """See :meth:`QuantConfig.check_plans`."""
    problems = []
    for number, step in enumerate(config.schedule, 1):
        specs = [
            (name, role, spec)
            for name, plan in plans.items()
            for role, spec in ((Role.WEIGHT, plan.weight), (Role.ACTIVATION, plan.activation))
            if spec is not None and step.matches(name) and step.concerns(role)
        ]
        described = f"step {number} ({step.describe()})"
        if not specs:
            problems.append(f"{described} means no quantized tensor: the layers it names stay in floating point")
        problems += [
            f"{described}: {role.value} of {name!r} has method {spec.method}, which has no {bits} bits"
            for name, role, spec in specs
            if (bits := _bits(step)) is not None and bits not in spec.supported_bits
        ]
    _raise(problems)


def _bits(step: Step) -> int | None:
    return step.action.bits if isinstance(step.action, SetBits) else None


def _rule_advice(rule: Rule, named_types: Mapping[str, Sequence[str]]) -> str:
    if rule.name is not None:
        pattern = NamePattern(rule.name)
        named = [name for name in named_types if pattern.matches(name)]
        if not named:
            return pattern.advice(named_types)
        named_types = {name: named_types[name] for name in named}
    known = list(dict.fromkeys(kind for kinds in named_types.values() for kind in kinds))
    guess = hint(rule.module_type or "", known)
    return guess or (f" Types there: {', '.join(known)}" if known else "")


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise ValueError("\n".join(["quantization settings that would do nothing or fail:", *problems]))
