"""Exceptions from the settings for all layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .choices import check_type
from .names import NamePattern, Precision
from .overrides import parse_override
from .roles import Role

ROLES_OF_PARTS = {
    "weight": Role.WEIGHT,
    "activation": Role.ACTIVATION,
    "elementwise": Role.ACTIVATION,
    "nonlinear": Role.ACTIVATION,
}


@dataclass(frozen=True)
class Rule:
    """What some layers do differently.

    Attributes:
        name: which layers, by qualified name: exact, a glob or "re:<regex>" (:class:`NamePattern`).
        module_type: which layers, by the name of their class or of one of its bases ("Conv2d"). With a name as well,
            a layer must match both.
        weight, activation: settings that differ for layers with weights, such as ``{"bits": 4}``; "float" leaves that
            tensor unquantized. A change of "method" keeps the settings that the new method also has, if they were
            not at the old method's defaults.
        elementwise: the same for additions and concatenations, which take nothing from ``activation``.
        nonlinear: the same for what activation functions read, inside of layers and on their own.
        skip: True leaves the layers as they are, False brings back those that a weaker rule left out.

    Raises:
        ValueError: neither name nor type, nothing to change, or a setting that is not allowed.
    """

    name: str | None = None
    module_type: str | None = None
    weight: "Mapping[str, Any] | str | None" = None
    activation: "Mapping[str, Any] | str | None" = None
    elementwise: "Mapping[str, Any] | str | None" = None
    nonlinear: "Mapping[str, Any] | str | None" = None
    skip: bool | None = None
    _pattern: NamePattern | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.name is None and self.module_type is None:
            raise ValueError("a rule needs name or type: which layers does it mean?")
        if self.name is not None:
            object.__setattr__(self, "_pattern", NamePattern(self.name))
        if self.module_type is not None:
            check_type("type", self.module_type, str)
            if not self.module_type.isidentifier():
                raise ValueError(f"type must be the name of a class, such as Conv2d; got {self.module_type!r}")
        check_type("skip", self.skip, bool, type(None))
        for part, role in ROLES_OF_PARTS.items():
            try:
                object.__setattr__(self, part, parse_override(getattr(self, part), role))
            except ValueError as error:
                raise ValueError(f"{part} of the rule for {self.describe()}: {error}") from error
        if self.skip is None and not any(self.override(part) for part in ROLES_OF_PARTS):
            raise ValueError(f"the rule for {self.describe()} changes nothing: say {', '.join(ROLES_OF_PARTS)} or skip")

    def override(self, part: str) -> dict[str, Any] | None:
        """What the rule changes in one of :data:`ROLES_OF_PARTS`; field names to values."""
        value: dict[str, Any] | None = getattr(self, part)
        return value

    @property
    def precision(self) -> Precision:
        """Layer of precedence it belongs to."""
        return Precision.TYPE if self._pattern is None else self._pattern.precision

    def matches(self, name: str, type_names: Sequence[str]) -> bool:
        """Whether it means the layer of this name, class and base classes."""
        return (self._pattern is None or self._pattern.matches(name)) and (
            self.module_type is None or self.module_type in type_names
        )

    def describe(self) -> str:
        """ "name backbone.*", "type Conv2d" or both."""
        parts = {"name": self.name, "type": self.module_type}
        return ", ".join(f"{key} {value}" for key, value in parts.items() if value is not None)
