"""Changing single settings of a spec: what a rule says about weights, activations or element-wise layers.

An override is a mapping of field names to values. Besides the fields it may hold "method" and "enabled" (False leaves
the tensor in floating point); the text "float" is short for ``{"enabled": False}``.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from .choices import check_bool, check_choice, hint
from .methods import METHODS, field_names
from .quant_spec import QuantSpec
from .roles import Role

FLOAT = "float"

Override = Mapping[str, Any]


def parse_override(value: "Override | str | None", role: Role) -> dict[str, Any] | None:
    """A checked override; None when it says nothing.

    Each value is checked alone. Whether the fields agree with each other, and belong to the method, is known only
    when all rules that apply to a layer are put together (:func:`build_spec`).

    Raises:
        ValueError: not a mapping, an unknown name, a value that is not allowed, a method that does not suit the role.
    """
    if value is None:
        return None
    if isinstance(value, str):
        check_choice("value", value, [FLOAT], "or a mapping of settings")
        return {"enabled": False}
    if not isinstance(value, Mapping):
        raise ValueError(f"value must be a mapping of settings or {FLOAT!r}; got {value!r}")
    override: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}
    method = override.get("method")
    if method is not None:
        check_setting("method", method, None, role)
    for name, setting in override.items():
        check_setting(name, setting, method, role)
    return override or None


def check_setting(name: str, value: Any, method: str | None, role: Role) -> None:
    """Check one setting of an override whose method is ``method`` (None: not said there).

    Raises:
        ValueError: naming the setting, the value and what is allowed.
    """
    if name == "enabled":
        check_bool(name, value)
    elif name == "method":
        suited = [known for known, spec_type in METHODS.items() if role in spec_type.roles]
        check_choice(name, value, suited, f"for a layer's {role.value}")
    else:
        _checker(name, method).field_checks()[name](name, value)


def known_settings(method: str | None) -> list[str]:
    """Names that an override may hold: those of the method, or of all methods when it is None."""
    methods = [method] if method in METHODS else list(METHODS)
    return ["method", "enabled", *dict.fromkeys(name for known in methods for name in field_names(known))]


def _checker(name: str, method: str | None) -> type[QuantSpec]:
    """The spec type that knows which values a field takes."""
    candidates: list[type[QuantSpec]] = [METHODS[method]] if method in METHODS else [QuantSpec, *METHODS.values()]
    for spec_type in candidates:
        if name in spec_type.field_checks():
            return spec_type
    known = known_settings(method)
    text = f"method {method} has no setting {name!r}" if method in METHODS else f"no method has a setting {name!r}"
    raise ValueError(f"{text}.{hint(name, known)} Known: {', '.join(known)}")


def explicit_settings(spec: QuantSpec) -> dict[str, Any]:
    """The method of a spec and those fields that differ from the method's own defaults."""
    changed = {f.name: getattr(spec, f.name) for f in fields(spec) if getattr(spec, f.name) != _default(f)}
    return {"enabled": True, "method": spec.method, **changed}


def _default(field: Any) -> Any:
    return None if field.default is MISSING else field.default


def merge(settings: Override, override: Override) -> dict[str, Any]:
    """Settings with an override on top.

    A change of method keeps the fields that the new method has as well. Any override but ``enabled: False`` switches
    quantization on: who sets a tensor's bits wants it quantized.
    """
    method = override.get("method", settings["method"])
    known = known_settings(method)
    kept = {name: value for name, value in settings.items() if name in known}
    return {**kept, "enabled": True, **override, "method": method}


def build_spec(settings: Override, role: Role) -> QuantSpec | None:
    """The spec that settings describe; None when they say floating point.

    Raises:
        ValueError: a field that the method does not have, fields that contradict each other or do not suit the role.
    """
    values = dict(settings)
    if not values.pop("enabled"):
        return None
    method = values.pop("method")
    for name in values:
        _checker(name, method)
    return METHODS[method](**values).for_role(role)
