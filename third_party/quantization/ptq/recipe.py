"""Everything that decides how a trained model is quantized without training it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..spec import MinMaxSpec, QuantConfig, Rule
from ..spec.choices import check_bool, check_type, check_whole
from ..spec.names import NamePattern, Precision
from ..spec.parsing import as_list, as_mapping, check_keys, located, read_group, write_group
from .recipe_parts import ActivationSettings, LayerChoice, ReconstructionSettings, StepSettings, WeightSettings
from .tuning.settings import TuningSettings

ROOT = "RECIPE"
_GROUPS: dict[str, type] = {
    "weights": WeightSettings,
    "activations": ActivationSettings,
    "steps": StepSettings,
    "reconstruction": ReconstructionSettings,
    "tuning": TuningSettings,
}
_REDUCED_BITS = 7


@dataclass(frozen=True)
class PTQRecipe:
    """Post-training quantization, in full.

    Attributes:
        weights, activations: widths and ranges.
        steps: what is done besides calibration.
        reconstruction: weights rounded by what layers give.
        tuning: weights, biases and ranges tuned together.
        layers: exceptions by name.
        reduce_range: 8-bit weights use 7 bits, so that sums of two products of bytes fit 16 bits on CPUs without
            VNNI.
        images: of the calibration set that are used, evenly spread over it; 0 for all.

    Raises:
        ValueError: a value that is not allowed.
    """

    weights: WeightSettings = field(default_factory=WeightSettings)
    activations: ActivationSettings = field(default_factory=ActivationSettings)
    steps: StepSettings = field(default_factory=StepSettings)
    reconstruction: ReconstructionSettings = field(default_factory=ReconstructionSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    layers: tuple[LayerChoice, ...] = ()
    reduce_range: bool = False
    images: int = 0

    def __post_init__(self) -> None:
        for name, group in _GROUPS.items():
            check_type(name, getattr(self, name), group)
        object.__setattr__(self, "layers", tuple(self.layers))
        for choice in self.layers:
            check_type("each of layers", choice, LayerChoice)
        check_bool("reduce_range", self.reduce_range)
        check_whole("images", self.images, at_least=0)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "PTQRecipe":
        """Read a mapping with upper-case keys, as YAML has them: the groups, LAYERS, REDUCE_RANGE and IMAGES.

        Raises:
            ValueError: an unknown key, with near matches, or a value that is not allowed; the message starts with the
                dotted key.
        """
        given = as_mapping(mapping, ROOT)
        check_keys(given, [*(name.upper() for name in _GROUPS), "LAYERS", "REDUCE_RANGE", "IMAGES"], ROOT)
        values: dict[str, Any] = {key.lower(): given[key] for key in ("REDUCE_RANGE", "IMAGES") if key in given}
        for name, group in _GROUPS.items():
            if name.upper() in given:
                values[name] = read_group(group, given[name.upper()], f"{ROOT}.{name.upper()}")
        items = as_list(given.get("LAYERS", []), f"{ROOT}.LAYERS")
        values["layers"] = tuple(read_group(LayerChoice, item, f"{ROOT}.LAYERS[{i}]") for i, item in enumerate(items))
        with located(ROOT):
            return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that :meth:`from_mapping` reads back to an equal recipe; plain values for YAML and JSON."""
        return write_group(self)

    def with_layers(self, *choices: LayerChoice) -> "PTQRecipe":
        """This recipe with more exceptions, stronger than those it has."""
        return replace(self, layers=(*self.layers, *choices))

    def quant_config(self) -> QuantConfig:
        """The settings of the engine that the recipe stands for: ranges observed, nothing learned."""
        settings = self.activations
        spec = MinMaxSpec(bits=settings.bits, symmetric=settings.symmetric) if settings.enabled else None
        return QuantConfig(
            weight=MinMaxSpec(
                bits=self._weight_bits(self.weights.bits),
                granularity=self.weights.granularity,
                initial_range="mse" if self.weights.ranges == "mse" else "max",
                narrow_range=self.weights.narrow_range,
            ),
            activation=spec,
            elementwise=spec if settings.elementwise else None,
            nonlinear=spec if settings.nonlinear else None,
            batch_norm="float" if self.weights.granularity == "channel" else "fold",
            rules=tuple(rule for choice in self.layers if (rule := self._rule(choice)) is not None),
        )

    def observers(self) -> dict[str, str]:
        """The observer for each pattern of layers' names; the later of two that match is meant."""
        special = {choice.name: choice.observer for choice in self.layers if choice.observer is not None}
        return {"*": self.activations.observer, **special}

    def _rule(self, choice: LayerChoice) -> Rule | None:
        name = choice.name
        if NamePattern(name).precision is Precision.EXACT:
            name = f"re:{re.escape(name)}"  # of one rank with globs, so that the later choice wins
        if choice.keep_float:
            return Rule(name=name, skip=True)
        weight = {} if choice.weight_bits is None else {"bits": self._weight_bits(choice.weight_bits)}
        activation: dict[str, Any] = {}
        if choice.activation_bits is not None:
            symmetric = self.activations.symmetric
            activation = {"method": "minmax", "bits": choice.activation_bits, "symmetric": symmetric}
        if not weight and not activation:
            return None
        elementwise = activation if self.activations.elementwise else {}
        return Rule(name=name, weight=weight, activation=activation, elementwise=elementwise, skip=False)

    def _weight_bits(self, bits: int) -> int:
        return _REDUCED_BITS if self.reduce_range and bits == 8 else bits
