"""Histograms of calibrated tensors, coarse enough to be looked at."""

from typing import TypedDict

from .growing_histogram import HALF
from .statistics import TensorStatistics


class HistogramRow(TypedDict):
    """The values of one tensor.

    Keys: ``name`` of the layer; ``start``, left end of the first bin; ``width`` of a bin; ``counts``, how many values
    lie in each; ``bottom`` and ``top``, the outermost levels.
    """

    name: str
    start: float
    width: float
    counts: list[float]
    bottom: float
    top: float


def coarse_histogram(
    name: str, statistics: TensorStatistics, bottom: float, top: float, bins: int = 96
) -> HistogramRow | None:
    """The occupied part of a histogram, neighbouring bins merged until at most ``bins`` are left.

    Merging is in powers of two and counted from zero, so that no bin has values of both signs.

    Args:
        name: of the layer.
        statistics: of the tensor.
        bottom, top: the range chosen.
        bins: at least 2.

    Returns:
        None where all values are zero, or there are none.
    """
    used = statistics.histogram.nonzero().view(-1)
    if used.numel() == 0 or statistics.width == 0.0:
        return None
    first, last, times = int(used[0]), int(used[-1]), 1
    while last // times - first // times >= bins:
        times *= 2
    first, last = first // times, last // times
    counts = statistics.histogram.view(-1, times).sum(1)[first : last + 1]
    width = times * statistics.width
    return {
        "name": name,
        "start": (first - HALF // times) * width,
        "width": width,
        "counts": counts.tolist(),
        "bottom": bottom,
        "top": top,
    }
