"""All settings of a quantized model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import matching, plan
from .affine_methods import LSQPlusSpec, LSQSpec
from .choices import check_bool, check_choice, check_type
from .overrides import Override, explicit_settings
from .parsing import as_list, as_mapping, check_keys, located, write_group
from .plan import LayerPlan
from .quant_spec import QuantSpec
from .rules import ROLES_OF_PARTS, Rule
from .schedule import Step
from .sections import read_rule, read_spec, read_step, read_training, write_rule, write_spec, write_step
from .training import TrainingConfig

BATCH_NORMS = ("float", "fold", "fixed_point")
ROOT = "MODEL.QUANTIZATION"

_DEFAULTS: dict[str, QuantSpec] = {
    "weight": LSQSpec(granularity="channel"),
    "activation": LSQSpec(),
    "elementwise": LSQSpec(),
    "nonlinear": LSQPlusSpec(),
}


@dataclass(frozen=True)
class QuantConfig:
    """What is quantized, how, and what happens while training.

    Precedence: a layer takes the settings for all, then those of every rule that matches it, the weakest first: rules
    by type, rules by glob or regular expression, rules by exact name; among equals the later rule wins. Rules change
    single settings, so several may add up. Of SKIP, too, the strongest rule that says it decides.

    Attributes:
        weight: settings of weights; None leaves them in floating point.
        activation: settings of the inputs of layers with weights; None as above.
        elementwise: settings of the inputs of additions and concatenations, one range for all of a layer's; None as
            above.
        nonlinear: settings of what activation functions such as SiLU read, those that layers with weights carry and
            those that stand alone; None, the default, leaves it in floating point. ReLU needs none: it only clips.
        batch_norm: behind a quantized convolution "float", "fold"-ed into its weights, or in "fixed_point" (AQD).
        weight_standardization: weights get zero mean and unit variance before they are quantized.
        rules: exceptions, by name or type.
        schedule: changes at given iterations.
        training: averages, losses and the like.

    Raises:
        ValueError: a value that is not allowed.
    """

    weight: QuantSpec | None = _DEFAULTS["weight"]
    activation: QuantSpec | None = _DEFAULTS["activation"]
    elementwise: QuantSpec | None = _DEFAULTS["elementwise"]
    nonlinear: QuantSpec | None = None
    batch_norm: str = "float"
    weight_standardization: bool = False
    rules: tuple[Rule, ...] = ()
    schedule: tuple[Step, ...] = ()
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for part, role in ROLES_OF_PARTS.items():
            spec = getattr(self, part)
            check_type(part, spec, QuantSpec, type(None))
            if spec is not None:
                with located(part):
                    spec.for_role(role)
        check_choice("batch_norm", self.batch_norm, BATCH_NORMS)
        check_bool("weight_standardization", self.weight_standardization)
        for name, item_type in (("rules", Rule), ("schedule", Step)):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            for item in getattr(self, name):
                check_type(f"each of {name}", item, item_type)
        check_type("training", self.training, TrainingConfig)

    def base_settings(self, part: str) -> Override:
        """Settings of "weight", "activation", "elementwise" or "nonlinear" before any rule."""
        spec = getattr(self, part)
        return explicit_settings(spec) if spec else {**explicit_settings(_DEFAULTS[part]), "enabled": False}

    @property
    def quantizes_nonlinear(self) -> bool:
        """Whether activation functions of some layers may read quantized values."""
        return self.nonlinear is not None or any(rule.override("nonlinear") for rule in self.rules)

    def resolve(self, name: str, type_names: Sequence[str], kind: str = "weighted") -> LayerPlan:
        """How a layer is quantized.

        Args:
            name: its qualified name.
            type_names: names of its class and base classes.
            kind: "weighted" for layers with weights, which take ``weight``, ``activation`` and, for the activation
                function that they carry, ``nonlinear``; "elementwise"; or "nonlinear" for an activation function that
                stands alone.

        Raises:
            ValueError: the settings that add up for this layer contradict each other, or a rule for exactly this
                layer sets what its kind does not have.
        """
        return plan.resolve_layer(self, name, type_names, kind)

    def check_matches(self, named_types: Mapping[str, Sequence[str]]) -> None:
        """Check that every rule, step and progression means a layer of the model.

        Args:
            named_types: for each layer that can be quantized, by qualified name, the names of its class and bases.

        Raises:
            ValueError: listing all that match nothing, with the nearest names.
        """
        matching.check_matches(self, named_types)

    def check_plans(self, plans: Mapping[str, LayerPlan]) -> None:
        """Check that every step of the schedule can be done when its iteration comes.

        Args:
            plans: what :meth:`resolve` gave, by qualified name.

        Raises:
            ValueError: listing steps that mean only tensors in floating point, or a width a method does not have.
        """
        matching.check_plans(self, plans)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "QuantConfig":
        """Read the mapping under MODEL.QUANTIZATION; its key ENABLED, which others act upon, is only checked.

        Raises:
            ValueError: an unknown key or a value that is not allowed; the message starts with the full dotted key.
        """
        given = as_mapping(mapping, ROOT)
        sections = [part.upper() for part in ROLES_OF_PARTS]
        plain = ["BATCH_NORM", "WEIGHT_STANDARDIZATION"]
        check_keys(given, ["ENABLED", *sections, *plain, "RULES", "SCHEDULE", "TRAINING"], ROOT)
        with located(f"{ROOT}.ENABLED"):
            check_bool("value", given.get("ENABLED", True))
        values: dict[str, Any] = {key.lower(): given[key] for key in plain if key in given}
        for part, role in ROLES_OF_PARTS.items():
            if part.upper() in given:
                values[part] = read_spec(given[part.upper()], f"{ROOT}.{part.upper()}", role, _DEFAULTS[part])
        for key, reader in (("RULES", read_rule), ("SCHEDULE", read_step)):
            items = as_list(given.get(key, []), f"{ROOT}.{key}")
            values[key.lower()] = tuple(reader(item, f"{ROOT}.{key}[{i}]") for i, item in enumerate(items))
        values["training"] = read_training(given.get("TRAINING", {}), f"{ROOT}.TRAINING")
        with located(ROOT):
            return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that :meth:`from_mapping` reads back to an equal config; plain values for YAML and JSON."""
        return {
            "ENABLED": True,
            **{part.upper(): write_spec(getattr(self, part)) for part in ROLES_OF_PARTS},
            "BATCH_NORM": self.batch_norm,
            "WEIGHT_STANDARDIZATION": self.weight_standardization,
            "RULES": [write_rule(rule) for rule in self.rules],
            "SCHEDULE": [write_step(step) for step in self.schedule],
            "TRAINING": write_group(self.training),
        }
