"""What is kept of a tensor over a calibration set: little, and enough for every observer."""

import math
from typing import Any

import torch
from torch import Tensor

from .growing_histogram import GrowingHistogram

_SLOWEST = 100  # the moving averages forget as if over so many batches
_STATE = (
    *("channel_axis", "count", "batches", "minimum", "maximum", "mean_minimum", "mean_maximum"),
    *("channel_minimum", "channel_maximum", "lower_bound", "bounds"),
)


class TensorStatistics:
    """Extremes, averages and a histogram of all values a quantizer has read, in constant memory.

    Attributes:
        count: values.
        batches: batches.
        minimum, maximum: extremes of all values.
        mean_minimum, mean_maximum: moving averages of the batches' extremes (arXiv 1712.05877, section 3.1): the mean
            of the first 100, then with smoothing 0.99.
        channel_minimum, channel_maximum: extremes of each channel, ``Tensor[C]``; None if tensors of several widths
            were read.
        lower_bound: the least value that the function takes which made the tensor; None if that is not known.
        bounds: between which values the tensor lies, whatever the data; None if that is not known.
    """

    def __init__(self, channel_axis: int = 1) -> None:
        """
        Args:
            channel_axis: dimension of the channels.
        """
        self.channel_axis = channel_axis
        self.count = self.batches = 0
        self.minimum, self.maximum = math.inf, -math.inf
        self.mean_minimum = self.mean_maximum = 0.0
        self._histogram = GrowingHistogram()
        self.channel_minimum: Tensor | None = None
        self.channel_maximum: Tensor | None = None
        self.lower_bound: float | None = None
        self.bounds: tuple[float, float] | None = None
        self._same_channels = True
        self._batch: tuple[float, float] | None = None

    @property
    def width(self) -> float:
        """Of a bin; 0 while all values are zero."""
        return self._histogram.width

    @property
    def histogram(self) -> Tensor:
        """How many values lie in each bin ``[i * width, (i + 1) * width)``, i from -2048: float64 ``Tensor[4096]``."""
        return self._histogram.counts[:-1]

    @property
    def zeros(self) -> int:
        """Values that are exactly zero, which ReLU makes many of."""
        return int(self._histogram.counts[-1])

    def update(self, x: Tensor) -> None:
        """Take in a tensor that is a batch of its own.

        Raises:
            FloatingPointError: values that are NaN or infinite.
        """
        self.add(x)
        self.end_batch()

    def add(self, x: Tensor) -> None:
        """Take in a tensor, one of several of a batch.

        Raises:
            FloatingPointError: values that are NaN or infinite; nothing is taken in.
        """
        x = x.detach()
        if x.numel() == 0:
            return
        x = x.view(1, -1) if x.dim() < 2 else x
        low, high = self._histogram.add(x, self.channel_axis)
        minimum, maximum = low.min().item(), high.max().item()
        self.count += x.numel()
        self._add_channels(low, high)
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        before = self._batch or (minimum, maximum)
        self._batch = min(before[0], minimum), max(before[1], maximum)

    def end_batch(self) -> None:
        """Let the tensors since the last call be one batch of the moving averages."""
        if self._batch is None:
            return
        self.batches += 1
        share = max(1.0 / self.batches, 1.0 / _SLOWEST)
        self.mean_minimum += (self._batch[0] - self.mean_minimum) * share
        self.mean_maximum += (self._batch[1] - self.mean_maximum) * share
        self._batch = None

    def add_bounds(self, low: Tensor, high: Tensor) -> None:
        """Take in between which values a tensor lies that was added, whatever the data.

        Args:
            low, high: for each of its values, in its shape.
        """
        ends = [x.view(1, -1) if x.dim() < 2 else x for x in (low.float().cpu(), high.float().cpu())]
        low, high = (x.movedim(self.channel_axis, 0).flatten(1) for x in ends)
        known = float(low.min()), float(high.max())
        before = self.bounds or known
        self.bounds = min(before[0], known[0]), max(before[1], known[1])
        self._add_channels(low.amin(1), high.amax(1))

    def merge(self, other: "TensorStatistics") -> None:
        """Take in what another has seen, such as that of another process; averages weigh by batches."""
        if other.count == 0:
            return
        total = self.batches + other.batches
        share = other.batches / total if total else 0.0
        self.mean_minimum += (other.mean_minimum - self.mean_minimum) * share
        self.mean_maximum += (other.mean_maximum - self.mean_maximum) * share
        self.batches = total
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        self._histogram.merge(other._histogram)
        self.count += other.count
        self._same_channels &= other._same_channels
        if other.channel_minimum is not None and other.channel_maximum is not None:
            self._add_channels(other.channel_minimum, other.channel_maximum)
        elif not other._same_channels:
            self.channel_minimum = self.channel_maximum = None

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values that :meth:`load_state_dict` reads back."""
        histogram = {"width": self.width, "counts": self._histogram.counts.clone()}
        return {name: getattr(self, name) for name in _STATE} | histogram

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        for name in _STATE:
            value = state[name]
            setattr(self, name, value.clone() if isinstance(value, Tensor) else value)
        self._histogram.width, self._histogram.counts = state["width"], state["counts"].clone()
        self._same_channels = self.channel_minimum is not None or self.count == 0
        self._batch = None

    def _add_channels(self, low: Tensor, high: Tensor) -> None:
        if not self._same_channels:
            return
        if self.channel_minimum is None or self.channel_maximum is None:
            self.channel_minimum, self.channel_maximum = low, high
        elif self.channel_minimum.shape == low.shape:
            self.channel_minimum = torch.minimum(self.channel_minimum, low)
            self.channel_maximum = torch.maximum(self.channel_maximum, high)
        else:
            self.channel_minimum = self.channel_maximum = None
            self._same_channels = False
