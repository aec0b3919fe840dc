"""What post-training quantization did."""

from dataclasses import dataclass, field
from typing import Any

from ..transform.report import Report
from .recipe import PTQRecipe


@dataclass
class PTQResult:
    """The record of one run; everything is plain in :meth:`to_dict`.

    Attributes:
        recipe: what was asked for.
        layers: how each layer is quantized, and what it weighs.
        ranges: a row for each range of activations: name, observer, ends, share clipped, error.
        histograms: of the tensors with a range, for a look at them.
        steps: what each step did, in order: ``{"step", "seconds", ...}``.
        warnings: what the user should know.
    """

    recipe: PTQRecipe
    layers: Report
    ranges: list[dict[str, Any]] = field(default_factory=list)
    histograms: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time of all steps."""
        return float(sum(step["seconds"] for step in self.steps))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "recipe": self.recipe.to_mapping(),
            "layers": self.layers.to_dict(),
            "ranges": list(self.ranges),
            "histograms": list(self.histograms),
            "steps": list(self.steps),
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }
