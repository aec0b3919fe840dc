"""Other ways to treat single layers: what they would do to the loss, and what they would cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from ...quantizers.quantizer import Quantizer
from ..recipe_parts import LayerChoice
from .costs import FLOAT_BITS, LayerCost
from .search import Assignment, Option
from .trials import TrialResults

USUAL = "as the recipe says"


@dataclass(frozen=True)
class Alternative:
    """Another way to treat a layer, whichever it is.

    Attributes:
        name: "W4", "A16", "float", "percentile".
        weight_bits, activation_bits, observer, keep_float: as in :class:`LayerChoice`.
    """

    name: str
    weight_bits: int | None = None
    activation_bits: int | None = None
    observer: str | None = None
    keep_float: bool = False

    def choice(self, layer: str) -> LayerChoice:
        """The alternative for a layer, for a recipe."""
        return LayerChoice(layer, self.weight_bits, self.activation_bits, self.observer, self.keep_float)


SAFER = (
    Alternative("A16", activation_bits=16),
    Alternative("W16A16", weight_bits=16, activation_bits=16),
    Alternative("float", keep_float=True),
)
# Ranges found in another way cost nothing.
OBSERVED = tuple(Alternative(name, observer=name) for name in ("minmax", "percentile", "mse", "unilateral"))
SMALLER = (Alternative("W4", weight_bits=4),)


def trial_name(layer: str, alternative: Alternative) -> str:
    """Of the trial of an alternative for a layer."""
    return f"{layer}|{alternative.name}"


def layer_quantizers(module: nn.Module) -> tuple[Quantizer | None, Quantizer | None]:
    """Those of weight and input that are switched on."""
    found = [module._modules.get(name) for name in ("weight_quantizer", "input_quantizer")]
    weight, activation = (q if isinstance(q, Quantizer) and q.enabled else None for q in found)
    return weight, activation


def layer_options(
    layers: Mapping[str, nn.Module],
    alternatives: Sequence[Alternative],
    costs: Mapping[str, LayerCost],
    results: TrialResults,
    measure: str,
) -> dict[str, list[Option]]:
    """What the solver chooses from: for each layer the usual treatment, and those that were tried.

    Args:
        layers: by name.
        alternatives: that were tried.
        costs: of the layers.
        results: of :func:`alternative_trials`.
        measure: of the costs, see :meth:`LayerCost.at`.
    """
    options = {}
    for name, module in layers.items():
        bits = _bits(module)
        own = [Option(USUAL, costs[name].at(bits[0], bits[1], measure), 0.0)]
        for alternative in alternatives:
            if (key := trial_name(name, alternative)) in results.losses:
                widths = _widths(alternative, bits)
                own.append(Option(alternative.name, costs[name].at(*widths, measure), results.change(key)))
        options[name] = own
    return options


def _bits(module: nn.Module) -> tuple[int, int]:
    """Widths of weight and input; a layer without weight works at that of its input."""
    weight, activation = (FLOAT_BITS if quantizer is None else quantizer.bits for quantizer in layer_quantizers(module))
    return (weight if "weight_quantizer" in module._modules else activation), activation


def _widths(alternative: Alternative, bits: tuple[int, int]) -> tuple[int, int]:
    if alternative.keep_float:
        return FLOAT_BITS, FLOAT_BITS
    return alternative.weight_bits or bits[0], alternative.activation_bits or bits[1]


def choices_of(assignment: Assignment, alternatives: Sequence[Alternative]) -> list[LayerChoice]:
    """What an assignment changes, as choices of a recipe."""
    by_name = {alternative.name: alternative for alternative in alternatives}
    return [by_name[option.name].choice(layer) for layer, option in assignment.picked.items() if option.name != USUAL]
