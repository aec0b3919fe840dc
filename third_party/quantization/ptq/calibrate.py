"""From statistics to ranges."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..quantizers.affine import AffineQuantizer
from ..quantizers.quantizer import Quantizer
from ..spec.choices import check_choice
from ..spec.names import NamePattern
from ..spec.roles import Role
from ..transform.access import quantizers
from .batches import Run, call_model
from .collect import collect
from .input_range import InputRange
from .observers import OBSERVERS, ObserverContext
from .ranges import LEARNED, RangeRow, apply_observer, describe_range, range_table
from .statistics import TensorStatistics
from .watch import layer_of


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration did.

    Attributes:
        rows: the ranges.
        batches: how many batches were seen.
        unreached: layers whose quantizers no tensor reached, and which have no range therefore.
    """

    rows: tuple[RangeRow, ...]
    batches: int
    unreached: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"rows": list(self.rows), "batches": self.batches, "unreached": list(self.unreached)}

    def __str__(self) -> str:
        notes = [f"no data reached {name}: it has no range" for name in self.unreached]
        return "\n".join([f"{self.batches} batches", *range_table(self.rows), *notes])


def calibrate(
    model: nn.Module,
    batches: Iterable[Any],
    observer: str | Mapping[str, str] = "mse",
    run: Run = call_model,
    *,
    context: ObserverContext | None = None,
    input_range: InputRange | None = None,
) -> CalibrationReport:
    """Give all quantizers of activations their ranges, from data without labels, in one pass.

    Args:
        model: prepared, changed in place.
        batches: what ``run`` takes, gone over once.
        observer: as for :func:`set_ranges`.
        run: of model and batch, runs the model; by default a tuple is several arguments.
        context: settings of observers.
        input_range: what is known of the batches; see :func:`collect`.

    Raises:
        ValueError: an unknown observer, a model without quantizers of activations or with some that take no range, no
            batches, one that cannot be read or lies beyond ``input_range``.
        FloatingPointError: a NaN or infinite activation; the layer and the number of the batch are named.
    """
    _check(model, observer)
    statistics = collect(model, batches, run, input_range=input_range)
    rows = set_ranges(model, statistics, observer, context=context)
    seen = max((found.batches for found in statistics.values()), default=0)
    return CalibrationReport(tuple(rows), seen, _unreached(model))


def set_ranges(
    model: nn.Module,
    statistics: Mapping[str, TensorStatistics],
    observer: str | Mapping[str, str] = "mse",
    *,
    context: ObserverContext | None = None,
) -> list[RangeRow]:
    """Set ranges from statistics.

    Args:
        model: prepared, changed in place.
        statistics: by the names of quantizers, as :func:`collect` gives them.
        observer: a name of ``OBSERVERS`` for all, or names by patterns of layers' names (:class:`NamePattern`); the
            last that matches one of a quantizer's layers decides, and "mse" where none does.
        context: settings of observers.

    Raises:
        ValueError: an unknown observer, a pattern that matches no layer, statistics for a quantizer that is not
            there, or one that takes no range.
    """
    patterns = _check(model, observer)
    layers = layers_of_quantizers(model)
    named = dict(model.named_modules())
    rows = []
    for name, found in statistics.items():
        quantizer = named.get(name)
        if not isinstance(quantizer, AffineQuantizer):
            raise ValueError(f"the statistics are of another model: this one has no quantizer {name!r}")
        names = layers[quantizer]
        chosen = next((o for p, o in reversed(patterns) if any(map(p.matches, names))), "mse")
        rows.append(apply_observer(names, quantizer, found, chosen, context))
    return rows


def describe_anew(
    model: nn.Module, statistics: Mapping[str, TensorStatistics], rows: Sequence[RangeRow]
) -> list[RangeRow]:
    """The rows of :func:`set_ranges` as ranges are now: those that learning has moved are "learned"."""
    found = []
    for (name, own), row in zip(statistics.items(), rows, strict=True):
        quantizer = model.get_submodule(name)
        assert isinstance(quantizer, AffineQuantizer)
        now = describe_range([row["name"], *row["shared_with"]], quantizer, own, row["observer"])
        moved = (now["bottom"], now["top"]) != (row["bottom"], row["top"])
        found.append({**now, "observer": LEARNED} if moved else row)
    return found


def check_calibrated(model: nn.Module) -> None:
    """Raise a ValueError that names the activations without a range, if there are any."""
    found = ((name, q) for name, q in quantizers(model) if q.role is Role.ACTIVATION)
    missing = [name for name, q in found if q.enabled and not q.initialized]
    if missing:
        raise ValueError(
            f"calibrate the model before its weights are rounded or tuned; no range yet: {', '.join(missing)}"
        )


def layers_of_quantizers(model: nn.Module) -> dict[Quantizer, list[str]]:
    """The layers that each quantizer of activations serves, several if it is shared."""
    found: dict[Quantizer, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, Quantizer) and module.role is Role.ACTIVATION:
            found.setdefault(module, []).append(layer_of(name))
    return found


def _unreached(model: nn.Module) -> tuple[str, ...]:
    waiting = (names for q, names in layers_of_quantizers(model).items() if q.enabled and not q.initialized)
    return tuple(name for names in waiting for name in names)


def _check(model: nn.Module, observer: str | Mapping[str, str]) -> list[tuple[NamePattern, str]]:
    """The observers by pattern, after a look at the quantizers, before time is spent on data."""
    layers = layers_of_quantizers(model)
    problems = [
        f"{names[0]} ({quantizer.spec.describe()})"
        for quantizer, names in layers.items()
        if quantizer.enabled and not quantizer.initialized
        if not isinstance(quantizer, AffineQuantizer) or quantizer.axis is not None
    ]
    if problems:
        raise ValueError(
            "ranges are calibrated for methods with equally spaced levels and one range for the whole tensor, such as "
            f"minmax; train these instead, or choose another method: {', '.join(problems)}"
        )
    chosen = {"*": observer} if isinstance(observer, str) else observer
    all_names = [name for names in layers.values() for name in names]
    patterns = []
    for text, name in chosen.items():
        check_choice("observer", name, OBSERVERS)
        pattern = NamePattern(text)
        if all_names and not any(map(pattern.matches, all_names)):
            raise ValueError(f"observer {name} for {text!r} matches no layer.{pattern.advice(all_names)}")
        patterns.append((pattern, name))
    return patterns
