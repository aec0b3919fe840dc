"""All methods, found by name; their settings stand in ``affine_methods`` and ``few_level_methods``."""

from dataclasses import fields
from typing import Any

from .affine_methods import AQDSpec, DoReFaSpec, ImageSpec, LSQPlusSpec, LSQSpec, MinMaxSpec, PACTSpec
from .choices import check_choice, hint
from .few_level_methods import (
    BinaryMeanSpec,
    BiRealSpec,
    LearnedThresholdSpec,
    LQNetSpec,
    TTQSpec,
    XNORPlusPlusSpec,
    XNORSpec,
)
from .quant_spec import QuantSpec

METHODS: dict[str, type[QuantSpec]] = {
    spec.method: spec
    for spec in (
        AQDSpec,
        LSQSpec,
        LSQPlusSpec,
        PACTSpec,
        DoReFaSpec,
        MinMaxSpec,
        ImageSpec,
        LQNetSpec,
        XNORSpec,
        XNORPlusPlusSpec,
        BiRealSpec,
        BinaryMeanSpec,
        TTQSpec,
        LearnedThresholdSpec,
    )
}


def field_names(method: str) -> list[str]:
    """The settings that a method has, besides its name."""
    return [field.name for field in fields(METHODS[method])]


def spec_from_mapping(settings: dict[str, Any]) -> QuantSpec:
    """Make a spec from names and values, "method" among them.

    Raises:
        ValueError: an unknown method or field (near matches are listed), or a value that is not allowed.
    """
    settings = dict(settings)
    method = settings.pop("method", "lsq")
    check_choice("method", method, METHODS)
    spec_type = METHODS[method]
    known = field_names(method)
    for name in settings:
        if name not in known:
            raise ValueError(
                f"method {method} has no setting {name!r}.{hint(name, known)} Its settings: {', '.join(known)}"
            )
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    return spec_type(**values)
