"""One range: chosen by an observer, set, described."""

import copy
import math
from collections.abc import Sequence
from typing import TypedDict

from ..quantizers.affine import AffineQuantizer
from .distribution import Distribution
from .observers import OBSERVERS, ObserverContext, known_range, observe
from .range_error import share_clipped, step_error
from .statistics import TensorStatistics

FIXED = "fixed"
KNOWN = "known"
LEARNED = "learned"
_HEADINGS = ("layer", "observer", "bottom", "top", "clipped", "squared error", "SQNR dB")


class RangeRow(TypedDict):
    """One range.

    Keys: ``name`` of the layer; ``shared_with``, names of layers that the same quantizer serves; ``observer``, or
    "fixed" by the method, "known" whatever the data, or "learned" after the observer's choice;
    ``bottom`` and ``top``, the outermost levels; ``share_clipped``, the share of values more than half a step beyond
    them; ``mse``, the mean squared error to be expected, of the histogram; ``sqnr``, the values' mean square over it,
    in decibels, infinite without an error.
    """

    name: str
    shared_with: list[str]
    observer: str
    bottom: float
    top: float
    share_clipped: float
    mse: float
    sqnr: float


def apply_observer(
    layers: Sequence[str],
    quantizer: AffineQuantizer,
    statistics: TensorStatistics,
    observer: str,
    context: ObserverContext | None = None,
) -> RangeRow:
    """Set the range of one quantizer, whatever it was, and describe it.

    A method whose range is fixed keeps it, and learns only whether there are negative values. Where the tensor's bounds
    are known they are the range.

    Args:
        layers: names of the layers it serves.
        quantizer: with one range for the whole tensor.
        statistics: of the tensor.
        observer: a name of ``OBSERVERS``.
        context: settings of observers.

    Raises:
        ValueError: an unknown observer, or a method that has no negative levels where values are negative.
    """
    quantizer.reset_range()
    negative = statistics.minimum < 0 and quantizer.levels.symmetric
    if negative and quantizer.spec.signed is None and not quantizer.signed:
        quantizer.become_signed()  # first, since observers look at the levels
    if quantizer.fixed_range:
        quantizer.mark_initialized()
    else:
        quantizer.set_range(*observe(observer, statistics, quantizer.levels, context))
    known = known_range(observer, statistics) is not None
    label = FIXED if quantizer.fixed_range else KNOWN if known else observer
    return describe_range(layers, quantizer, statistics, label)


def describe_range(
    layers: Sequence[str], quantizer: AffineQuantizer, statistics: TensorStatistics, observer: str
) -> RangeRow:
    """The range that a quantizer has.

    Args:
        layers: names of the layers it serves.
        quantizer: with one range for the whole tensor.
        statistics: of the tensor.
        observer: what the range is from.
    """
    step, zero = quantizer.step().detach().double().cpu(), quantizer.zero().detach().double().round().cpu()
    values, levels = Distribution.of(statistics), quantizer.levels
    mse = float(step_error(values, step.view(1), zero.view(1), levels))
    bottom, top = levels.ends(step, zero)
    return {
        "name": layers[0],
        "shared_with": list(layers[1:]),
        "observer": observer,
        "bottom": float(bottom),
        "top": float(top),
        "share_clipped": share_clipped(values, float(step), float(zero), levels),
        "mse": mse,
        "sqnr": 10 * math.log10(max(values.mean_square(), 1e-300) / mse) if mse > 0 else math.inf,
    }


def compare_observers(
    statistics: TensorStatistics,
    quantizer: AffineQuantizer,
    context: ObserverContext | None = None,
    *,
    name: str = "",
) -> list[RangeRow]:
    """What each observer would choose for a tensor, side by side; nothing is changed.

    Args:
        statistics: of the tensor.
        quantizer: whose levels are meant; with one range for the whole tensor.
        context: settings of observers.
        name: of the layer, for the rows.
    """
    return [apply_observer([name], copy.deepcopy(quantizer), statistics, observer, context) for observer in OBSERVERS]


def range_table(rows: Sequence[RangeRow]) -> list[str]:
    """The rows as lines of text in columns."""
    cells = [
        (row["name"], row["observer"], f"{row['bottom']:.4g}", f"{row['top']:.4g}")
        + (f"{row['share_clipped']:.3%}", f"{row['mse']:.3g}", f"{row['sqnr']:.1f}")
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in (_HEADINGS, *cells)
    ]
