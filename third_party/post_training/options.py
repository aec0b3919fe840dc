"""What the command that quantizes a detector is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..quantization.ptq.recipe import PTQRecipe
from ..quantization.spec.choices import check_bool, check_number, check_type, check_whole


@dataclass(frozen=True)
class Request:
    """One run from weights to a quantized model that runs.

    Attributes:
        weights: file of a trained detector, float or quantized.
        calibration: name of a registered data set; not needed for quantized weights.
        evaluation: name of a registered data set with a COCO json file; empty to evaluate on nothing.
        out: folder of the results.
        recipe: how it is quantized.
        max_drop: AP that may be lost. Given, the cheapest model within it is searched for; None only warns beyond 0.5.
        engines: that run the exported file; None for all that are installed.
        export: whether files are exported.
        suppression: whether exported files end with detections; otherwise with boxes and scores.
        evaluation_images: at most so many images are evaluated; 0 for all.
        sensitivity: measure each layer's effect on the loss; None where the drop is too large.
        sensitivity_images: that the loss is measured on.
        audit: look for what the calibration set lacks.
        batch_size: images of a calibration batch.

    Raises:
        ValueError: a value that is not allowed, or settings that contradict each other.
    """

    weights: str
    out: str
    calibration: str = ""
    evaluation: str = ""
    recipe: PTQRecipe = field(default_factory=PTQRecipe)
    max_drop: float | None = None
    engines: tuple[str, ...] | None = None
    export: bool = True
    suppression: bool = True
    evaluation_images: int = 0
    sensitivity: bool | None = None
    sensitivity_images: int = 16
    audit: bool = False
    batch_size: int = 1

    def __post_init__(self) -> None:
        for name in ("weights", "out", "calibration", "evaluation"):
            check_type(name, getattr(self, name), str)
        if self.max_drop is not None:
            check_number("max_drop", self.max_drop, at_least=0.0)
        for name in ("export", "suppression", "audit"):
            check_bool(name, getattr(self, name))
        check_whole("evaluation_images", self.evaluation_images, at_least=0)
        for name in ("sensitivity_images", "batch_size"):
            check_whole(name, getattr(self, name), at_least=1)
        self._check_agreement()

    def _check_agreement(self) -> None:
        needing = {"max_drop": self.max_drop is not None, "sensitivity": self.sensitivity, "audit": self.audit}
        for name, wanted in needing.items():
            if wanted and not self.evaluation:
                raise ValueError(f"{name} needs a data set to evaluate on, and evaluation names none (--no-eval)")
        if self.engines is not None and not self.export:
            raise ValueError(f"engines {', '.join(self.engines)} run exported files, but export is off (--no-export)")

    @property
    def tolerance(self) -> float:
        """AP that may be lost without a warning."""
        return 0.5 if self.max_drop is None else self.max_drop


def read_recipe(file: str | None, overrides: list[str]) -> PTQRecipe:
    """A recipe from a YAML file and overrides.

    Args:
        file: with the keys of :meth:`PTQRecipe.from_mapping`; None for the default recipe.
        overrides: dotted keys and values in turns: ``["ACTIVATIONS.OBSERVER", "percentile"]``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no YAML mapping, a key that is not known, or a value that is not allowed.
    """
    mapping: Any = {}
    if file:
        with open(file, encoding="utf-8") as stream:
            try:
                mapping = yaml.safe_load(stream) or {}
            except yaml.YAMLError as error:
                raise ValueError(f"recipe {file} is no YAML: {error}") from error
    if not isinstance(mapping, Mapping):
        raise ValueError(f"recipe {file} must be a mapping of settings; got {type(mapping).__name__}")
    merged = PTQRecipe.from_mapping(mapping).to_mapping()
    if len(overrides) % 2:
        raise ValueError(f"overrides are keys and values in turns; {overrides[-1]!r} has no value")
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        _put(merged, key.removeprefix("RECIPE."), yaml.safe_load(text))
    return PTQRecipe.from_mapping(merged)


def _put(mapping: dict[str, Any], key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for group in groups:
        inner = mapping.setdefault(group, {})
        if not isinstance(inner, dict):
            raise ValueError(f"RECIPE.{key}: {group} is no group of settings")
        mapping = inner
    mapping[last] = value
