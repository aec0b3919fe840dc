"""Which layer's quantization costs how much, by the loss of the task."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from torch import nn

from ...quantizers.quantizer import Quantizer
from ...spec import Role
from ...spec.choices import check_choice
from .trials import Loss, Trial, enabled_only, measure_trials, quantized_layers, readers, switched

PARTS = ("layer", "tensor")
_TENSORS = {Role.WEIGHT: "weight", Role.ACTIVATION: "input"}


@dataclass(frozen=True)
class SensitivityRow:
    """One layer, or one of its tensors.

    Attributes:
        name: of the layer; with ".weight" or ".input" behind it where tensors are measured.
        bits: widths of what was quantized, "W8A8", "W8", "A4".
        loss: with this alone quantized.
        change: of the loss, against the model in floating point.
    """

    name: str
    bits: str
    loss: float
    change: float


@dataclass(frozen=True)
class SensitivityTable:
    """Rows, the worst first.

    Attributes:
        float_loss: with quantizers off; weights that have learned to be quantized may be worse so.
        quantized_loss: with everything quantized.
        rows: one for each layer or tensor.
        batches: how many batches were measured.
        seconds: how long that took.
    """

    float_loss: float
    quantized_loss: float
    rows: tuple[SensitivityRow, ...]
    batches: int
    seconds: float

    def culprits(self, share: float = 0.5) -> list[SensitivityRow]:
        """The fewest rows that make up this share of all the harm that rows do alone; none if nothing does harm."""
        harm = [row for row in self.rows if row.change > 0]
        wanted, found = share * sum(row.change for row in harm), []
        for row in harm:
            if wanted <= 0:
                break
            found.append(row)
            wanted -= row.change
        return found

    def verdict(self) -> str:
        """A sentence on what ruins the model, if anything does."""
        rise = self.quantized_loss - self.float_loss
        if rise <= 0 or not self.culprits():
            return (
                f"No layer stands out: the loss is {self.float_loss:.4g} with quantizers off, "
                f"{self.quantized_loss:.4g} with all on."
            )
        worst = self.culprits()
        total = sum(row.change for row in self.rows if row.change > 0)
        named = ", ".join(f"{row.name} ({row.bits}, +{row.change:.4g})" for row in worst[:3])
        part = sum(row.change for row in worst[:3]) / total
        return (
            f"Quantization raises the loss from {self.float_loss:.4g} to {self.quantized_loss:.4g}. "
            f"{part:.0%} of what layers do alone comes from {named}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "verdict": self.verdict()}

    def __str__(self) -> str:
        width = max([len(row.name) for row in self.rows] + [5])
        lines = [f"{'layer':{width}}  bits   loss      change"]
        lines += [f"{row.name:{width}}  {row.bits:5}  {row.loss:<8.4g}  {row.change:+.4g}" for row in self.rows]
        return "\n".join([*lines, self.verdict()])


def sensitivity(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Loss,
    *,
    parts: str = "layer",
    budget: int = 2**30,
    max_seconds: float = 180.0,
) -> SensitivityTable:
    """Quantize one layer at a time and measure the loss.

    A tensor that several layers read together counts for each of them; alone it has one row, with all their names.

    Args:
        model: calibrated, in evaluation mode; it is left as it was.
        batches: with what the loss needs.
        loss: of a model on a batch.
        parts: "layer" for weight and input together, "tensor" for each alone.
        budget: bytes for outputs that are kept.
        max_seconds: fewer batches are measured when all would take longer.

    Raises:
        ValueError: no batch, no quantized layer, or a loss that is not finite.
    """
    check_choice("parts", parts, PARTS)
    units = _units(model, parts)
    if not units:
        raise ValueError("the model has no quantized layer")
    every = [quantizer for own in units.values() for quantizer in own]
    trials = [Trial(name, readers(model, own), partial(switched, own, True)) for name, own in units.items()]
    everything = Trial("", readers(model, every), partial(switched, every, True))
    with enabled_only(model, ()):
        results = measure_trials(model, batches, loss, [*trials, everything], budget=budget, max_seconds=max_seconds)
    rows = [SensitivityRow(name, _bits(own), results.losses[name], results.change(name)) for name, own in units.items()]
    rows.sort(key=lambda row: row.change, reverse=True)
    return SensitivityTable(results.base, results.losses[""], tuple(rows), results.batches, results.seconds)


def _units(model: nn.Module, parts: str) -> dict[str, tuple[Quantizer, ...]]:
    layers = {name: on for name, own in quantized_layers(model).items() if (on := tuple(q for q in own if q.enabled))}
    if parts == "layer":
        return layers
    names: dict[Quantizer, list[str]] = {}
    for name, own in layers.items():
        for quantizer in own:
            names.setdefault(quantizer, []).append(f"{name}.{_TENSORS[quantizer.role]}")
    return {" = ".join(together): (quantizer,) for quantizer, together in names.items()}


def _bits(own: tuple[Quantizer, ...]) -> str:
    """Such as "W8A8"; weights first."""
    letters = sorted(("A" if q.role is Role.ACTIVATION else "W", q.bits) for q in own)
    return "".join(f"{letter}{bits}" for letter, bits in reversed(letters))
