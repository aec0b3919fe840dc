"""Single layers treated in another way, for a time."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import nn

from ...quantizers.affine import AffineQuantizer
from ...quantizers.quantizer import Quantizer
from ...spec.names import NamePattern
from ..calibrate import apply_observer
from ..statistics import TensorStatistics
from .alternatives import Alternative, layer_quantizers, trial_name
from .trials import Trial

# Gives an input quantizer, whose width may have changed, a range by an observer; knows the statistics of the layer.
SetRange = Callable[[str, Quantizer, str | None], None]


def alternative_trials(
    layers: Mapping[str, nn.Module], alternatives: Sequence[Alternative], set_range: SetRange
) -> list[Trial]:
    """A trial for each layer and each alternative that changes it; :func:`trial_name` is its name."""
    found = []
    for name, module in layers.items():
        for alternative in alternatives:
            if _concerns(module, alternative):
                treatment = Treatment(name, module, _partners(layers, module, alternative), alternative, set_range)
                found.append(Trial(trial_name(name, alternative), (module, *treatment.partners), treatment))
    return found


def _partners(layers: Mapping[str, nn.Module], module: nn.Module, alternative: Alternative) -> list[nn.Module]:
    """Other layers whose input's range changes as well: one tensor of one width has one range."""
    if alternative.observer is None or alternative.activation_bits is not None:
        return []
    shared = module._modules["input_quantizer"]
    return [other for other in layers.values() if other is not module and shared is other._modules["input_quantizer"]]


def _concerns(module: nn.Module, alternative: Alternative) -> bool:
    weight, activation = layer_quantizers(module)
    if alternative.keep_float:
        return weight is not None or activation is not None
    new_weight = weight is not None and alternative.weight_bits not in (None, weight.bits)
    new_input = activation is not None and (
        alternative.observer is not None or alternative.activation_bits not in (None, activation.bits)
    )
    return new_weight or new_input


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
        (weight, activation), wanted = layer_quantizers(self.module), self.alternative
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
