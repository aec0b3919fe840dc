"""Other ways to treat single layers: what they would do to the loss, and what they would cost."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from ..quantizers.affine import AffineQuantizer
from ..quantizers.quantizer import Quantizer
from ..spec.names import NamePattern
from .calibrate import apply_observer
from .costs import FLOAT_BITS, LayerCost
from .recipe_parts import LayerChoice
from .search import Assignment, Option
from .statistics import TensorStatistics
from .trials import Trial, TrialResults

USUAL = "as the recipe says"
# Gives an input quantizer, whose width may have changed, a range by an observer; knows the statistics of the layer.
SetRange = Callable[[str, Quantizer, str | None], None]


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
SMALLER = (Alternative("W4", weight_bits=4),)


def alternative_trials(
    layers: Mapping[str, nn.Module], alternatives: Sequence[Alternative], set_range: SetRange
) -> list[Trial]:
    """A trial for each layer and each alternative that changes it; "layer|alternative" is its name."""
    found = []
    for name, module in layers.items():
        for alternative in alternatives:
            if _concerns(module, alternative):
                treatment = Treatment(name, module, _partners(layers, module, alternative), alternative, set_range)
                found.append(Trial(_key(name, alternative), (module, *treatment.partners), treatment))
    return found


def _partners(layers: Mapping[str, nn.Module], module: nn.Module, alternative: Alternative) -> list[nn.Module]:
    """Other layers whose input's range changes as well: one tensor of one width has one range."""
    if alternative.observer is None or alternative.activation_bits is not None:
        return []
    shared = module._modules["input_quantizer"]
    return [other for other in layers.values() if other is not module and shared is other._modules["input_quantizer"]]


def _key(layer: str, alternative: Alternative) -> str:
    return f"{layer}|{alternative.name}"


def _concerns(module: nn.Module, alternative: Alternative) -> bool:
    weight, activation = _quantizers(module)
    if alternative.keep_float:
        return weight is not None or activation is not None
    new_weight = weight is not None and alternative.weight_bits not in (None, weight.bits)
    new_input = activation is not None and (
        alternative.observer is not None or alternative.activation_bits not in (None, activation.bits)
    )
    return new_weight or new_input


def _quantizers(module: nn.Module) -> tuple[Quantizer | None, Quantizer | None]:
    found = [module._modules.get(name) for name in ("weight_quantizer", "input_quantizer")]
    weight, activation = (q if isinstance(q, Quantizer) and q.enabled else None for q in found)
    return weight, activation


class Treatment:
    """A layer treated in another way.

    Args:
        name: of the layer.
        module: the layer.
        partners: layers whose input's range changes with the layer's; others that share it keep it.
        alternative: the other way.
        set_range: gives a new input quantizer its range.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        partners: Sequence[nn.Module],
        alternative: Alternative,
        set_range: SetRange,
    ) -> None:
        self.name, self.module, self.partners = name, module, partners
        self.alternative, self.set_range = alternative, set_range
        self._instead: dict[str, Quantizer | None] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within the block the layer is treated so."""
        if self._instead is None:
            self._instead = self._made()
        changes = [(self.module, self._instead)]
        if "input_quantizer" in self._instead:
            shared = {"input_quantizer": self._instead["input_quantizer"]}
            changes += [(partner, shared) for partner in self.partners]
        before = [(module, {key: module._modules[key] for key in instead}) for module, instead in changes]
        _put(changes)
        try:
            yield
        finally:
            _put(before)

    def _made(self) -> dict[str, Quantizer | None]:
        (weight, activation), wanted = _quantizers(self.module), self.alternative
        if wanted.keep_float:
            return {key: None for key in ("weight_quantizer", "input_quantizer") if key in self.module._modules}
        made: dict[str, Quantizer | None] = {}
        if weight is not None and wanted.weight_bits is not None:
            made["weight_quantizer"] = _weight_at(weight, wanted.weight_bits)
        if activation is not None and (wanted.activation_bits or wanted.observer):
            changed = _thawed(activation, wanted.activation_bits or activation.bits)
            self.set_range(self.name, changed, wanted.observer)
            made["input_quantizer"] = changed
        return made


def _put(changes: Sequence[tuple[nn.Module, Mapping[str, nn.Module | None]]]) -> None:
    for module, children in changes:
        module._modules.update(children)


def _thawed(quantizer: Quantizer, bits: int) -> Quantizer:
    changed = copy.deepcopy(quantizer)
    changed.set_frozen(False)
    changed.set_bits(bits)
    return changed


def _weight_at(quantizer: Quantizer, bits: int) -> Quantizer:
    """A quantizer of another width, which takes its range from the weight when it is used."""
    changed = _thawed(quantizer, bits)
    changed.reset_range()
    return changed


def range_setter(
    model: nn.Module, statistics: Mapping[str, TensorStatistics], observers: Mapping[str, str]
) -> SetRange:
    """A function that gives a changed input quantizer of a layer its range.

    Args:
        model: with the quantizers that the statistics are of.
        statistics: by quantizers' names, see :func:`collect`.
        observers: by patterns of layers' names, the last that matches decides where no observer is asked for.
    """
    modules = dict(model.named_modules())
    known = {id(modules[name]): found for name, found in statistics.items()}

    def set_range(layer: str, changed: Quantizer, observer: str | None) -> None:
        usual = [name for pattern, name in observers.items() if NamePattern(pattern).matches(layer)]
        found = known[id(modules[layer]._modules["input_quantizer"])]
        assert isinstance(changed, AffineQuantizer)
        apply_observer([layer], changed, found, observer or usual[-1])

    return set_range


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
            if (key := _key(name, alternative)) in results.losses:
                widths = _widths(alternative, bits)
                own.append(Option(alternative.name, costs[name].at(*widths, measure), results.change(key)))
        options[name] = own
    return options


def _bits(module: nn.Module) -> tuple[int, int]:
    """Widths of weight and input; a layer without weight works at that of its input."""
    weight, activation = (FLOAT_BITS if quantizer is None else quantizer.bits for quantizer in _quantizers(module))
    return (weight if "weight_quantizer" in module._modules else activation), activation


def _widths(alternative: Alternative, bits: tuple[int, int]) -> tuple[int, int]:
    if alternative.keep_float:
        return FLOAT_BITS, FLOAT_BITS
    return alternative.weight_bits or bits[0], alternative.activation_bits or bits[1]


def choices_of(assignment: Assignment, alternatives: Sequence[Alternative]) -> list[LayerChoice]:
    """What an assignment changes, as choices of a recipe."""
    by_name = {alternative.name: alternative for alternative in alternatives}
    return [by_name[option.name].choice(layer) for layer, option in assignment.picked.items() if option.name != USUAL]
