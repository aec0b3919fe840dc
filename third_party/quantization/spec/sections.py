"""The sections of MODEL.QUANTIZATION, each read from and written to its mapping."""

from collections.abc import Mapping
from typing import Any

from .choices import check_choice
from .overrides import FLOAT, build_spec, check_setting, explicit_settings, known_settings, merge
from .parsing import SettingError, as_mapping, check_keys, located, plain, plain_reader, read_group, write_group
from .quant_spec import QuantSpec
from .roles import Role
from .rules import ROLES_OF_PARTS, Rule
from .schedule import ACTIONS, Step
from .training import TRAINING_GROUPS, TrainingConfig


def read_role(value: Any, path: str) -> Role | None:
    """A role by its name; None for both."""
    if value is None:
        return None
    with located(path):
        check_choice("value", value, [role.value for role in Role], "or left out for both")
    return Role(value)


def read_override(value: Any, path: str, role: Role, default_method: str | None = None) -> Any:
    """Settings of one tensor, in field names, each checked; the text "float" as it is.

    Args:
        value: the mapping, or "float".
        path: dotted key of it, for messages.
        role: what the tensor is.
        default_method: the method when METHOD is not given; None when that depends on other rules.
    """
    if not isinstance(value, Mapping):
        with located(path):
            check_choice("value", value, [FLOAT], "or a mapping of settings")
        return value
    given = as_mapping(value, path)
    method = default_method
    if "METHOD" in given:
        method = given["METHOD"]
        with located(f"{path}.METHOD"):
            check_setting("method", method, None, role)
    check_keys(given, [name.upper() for name in known_settings(method)], path)
    override = {key.lower(): plain_reader(setting, path) for key, setting in given.items()}
    for name, setting in override.items():
        with located(f"{path}.{name.upper()}"):
            check_setting(name, setting, method, role)
    return override


def write_override(override: Mapping[str, Any]) -> Any:
    """The inverse of :func:`read_override`."""
    if override == {"enabled": False}:
        return FLOAT
    return {name.upper(): plain(value) for name, value in override.items()}


def read_spec(value: Any, path: str, role: Role, default: QuantSpec) -> QuantSpec | None:
    """A whole spec: what is not given is as in ``default``, or in the method's own defaults if that is another."""
    override = read_override(value, path, role, default.method)
    override = {"enabled": False} if override == FLOAT else override
    with located(path):
        settings = merge(explicit_settings(default), override)
        # Checked even when switched off: a mistake must not wait for the day it is switched on.
        build_spec({**settings, "enabled": True}, role)
        return build_spec(settings, role)


def write_spec(spec: QuantSpec | None) -> dict[str, Any]:
    """The inverse of :func:`read_spec`; every field is written, so that later defaults do not change it."""
    if spec is None:
        return {"ENABLED": False}
    return {"ENABLED": True} | {name.upper(): plain(value) for name, value in spec.as_dict().items()}


def read_rule(value: Any, path: str) -> Rule:
    """A rule from keys NAME, TYPE, SKIP and those of the parts, such as WEIGHT."""
    given = as_mapping(value, path)
    names = {"NAME": "name", "TYPE": "module_type", "SKIP": "skip"} | {part.upper(): part for part in ROLES_OF_PARTS}
    check_keys(given, names, path)
    values = {names[key]: setting for key, setting in given.items()}
    for part, role in ROLES_OF_PARTS.items():
        if values.get(part) is not None:
            values[part] = read_override(values[part], f"{path}.{part.upper()}", role)
    with located(path):
        return Rule(**values)


def write_rule(rule: Rule) -> dict[str, Any]:
    """The inverse of :func:`read_rule`."""
    heads = {"NAME": rule.name, "TYPE": rule.module_type, "SKIP": rule.skip}
    overrides = {part.upper(): rule.override(part) for part in ROLES_OF_PARTS}
    written = {key: write_override(override) for key, override in overrides.items() if override}
    return {key: value for key, value in heads.items() if value is not None} | written


def read_step(value: Any, path: str) -> Step:
    """A step from keys ITERATION, NAME, ROLE, ACTION and the action's own."""
    given = as_mapping(value, path)
    if "ACTION" not in given:
        raise SettingError(f"{path}.ACTION: must be given, one of {', '.join(ACTIONS)}")
    with located(f"{path}.ACTION"):
        check_choice("value", given["ACTION"], ACTIONS)
    heads = {key: given.pop(key) for key in ("ITERATION", "NAME", "ROLE") if key in given}
    action = read_group(ACTIONS[given.pop("ACTION")], given, path)
    return read_group(Step, heads | {"ACTION": action}, path, {"role": read_role})


def write_step(step: Step) -> dict[str, Any]:
    """The inverse of :func:`read_step`."""
    role = {} if step.role is None else {"ROLE": step.role.value}
    heads = {"ITERATION": step.iteration, "NAME": step.name, **role, "ACTION": step.action.action}
    return heads | write_group(step.action)


def read_training(value: Any, path: str) -> TrainingConfig:
    """The section TRAINING with its groups."""

    def reader(group_type: type) -> Any:
        return lambda given, where: read_group(group_type, given, where, {"role": read_role})

    readers = {name: reader(group_type) for name, group_type in TRAINING_GROUPS.items()}
    return read_group(TrainingConfig, value, path, readers)
