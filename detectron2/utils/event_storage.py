"""The place where training code puts scalars, images and histograms, one iteration after another."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from fvcore.common.history_buffer import HistoryBuffer

# The storages entered by ``with``, innermost last. Shared by all threads of the process, so that a helper
# thread can write the metrics of the iteration that the main thread runs.
_CURRENT_STORAGE_STACK: list["EventStorage"] = []


def get_event_storage() -> "EventStorage":
    """The storage in use.

    Raises:
        RuntimeError: called outside of ``with EventStorage(...)``.
    """
    if not _CURRENT_STORAGE_STACK:
        raise RuntimeError(
            "get_event_storage() was called outside of a training loop: wrap the code in `with EventStorage(): ...`, "
            "or ask has_event_storage() first"
        )
    return _CURRENT_STORAGE_STACK[-1]


def has_event_storage() -> bool:
    """Whether the code runs inside a ``with EventStorage(...)`` block."""
    return bool(_CURRENT_STORAGE_STACK)


class EventStorage:
    """Histories of named scalars, and images and histograms that wait for a writer.

    Putting and reading are safe from several threads. A metric that arrives late from another thread names its
    iteration by ``cur_iter``.
    """

    def __init__(self, start_iter: int = 0) -> None:
        """
        Args:
            start_iter: the iteration that the storage begins at.
        """
        self._iter = start_iter
        self._history: dict[str, HistoryBuffer] = defaultdict(HistoryBuffer)
        self._smoothing_hints: dict[str, bool] = {}
        self._latest_scalars: dict[str, tuple[float, int]] = {}
        self._vis_data: list[tuple[str, torch.Tensor, int]] = []
        self._histograms: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        # a scope belongs to the thread that opened it: what another thread puts meanwhile keeps its own name
        self._scope = threading.local()

    @property
    def _current_prefix(self) -> str:
        return getattr(self._scope, "prefix", "")

    def put_image(self, img_name: str, img_tensor: torch.Tensor) -> None:
        """Keep an image for the writers.

        Args:
            img_name: its tag.
            img_tensor: uint8 in [0, 255] or float in [0, 1], shape (3, H, W), RGB.
        """
        with self._lock:
            self._vis_data.append((self._current_prefix + img_name, img_tensor, self._iter))

    def put_scalar(self, name: str, value: float, smoothing_hint: bool = True, cur_iter: int | None = None) -> None:
        """Add one value to the history of ``name``.

        Args:
            name: the metric; the open ``name_scope`` is put before it.
            value: a number or a tensor of one element.
            smoothing_hint: whether the metric is noisy, so that writers show its median over a window.
            cur_iter: the iteration that the value belongs to; the current one by default.

        Raises:
            ValueError: ``smoothing_hint`` differs from what was given for this name before.
        """
        name = self._current_prefix + name
        value = float(value)
        with self._lock:
            if self._smoothing_hints.setdefault(name, smoothing_hint) != smoothing_hint:
                raise ValueError(
                    f"metric {name!r} was put with smoothing_hint={not smoothing_hint} before: use one value for a name"
                )
            iteration = self._iter if cur_iter is None else cur_iter
            self._history[name].update(value, iteration)
            self._latest_scalars[name] = (value, iteration)

    def put_scalars(self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: float) -> None:
        """``put_scalar`` for each keyword, e.g. ``put_scalars(loss=0.3, accuracy=0.5)``."""
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint=smoothing_hint, cur_iter=cur_iter)

    def put_histogram(self, hist_name: str, hist_tensor: torch.Tensor, bins: int = 1000) -> None:
        """Keep a histogram of a tensor's elements for the writers.

        Args:
            hist_name: its tag.
            hist_tensor: at least one element, any shape.
            bins: number of bins of equal width.

        Raises:
            ValueError: the tensor has no element.
        """
        if hist_tensor.numel() == 0:
            raise ValueError(f"histogram {hist_name!r}: the tensor of shape {tuple(hist_tensor.shape)} is empty")
        flat = hist_tensor.detach().float().cpu().flatten()
        low, high = flat.min().item(), flat.max().item()
        record = {
            "tag": self._current_prefix + hist_name,
            "min": low,
            "max": high,
            "num": flat.numel(),
            "sum": flat.sum().item(),
            "sum_squares": flat.square().sum().item(),
            "bucket_limits": torch.linspace(low, high, bins + 1)[1:].tolist(),
            "bucket_counts": torch.histc(flat, bins=bins, min=low, max=high).tolist(),
        }
        with self._lock:
            self._histograms.append({**record, "global_step": self._iter})

    def history(self, name: str) -> HistoryBuffer:
        """All values of one metric.

        Raises:
            KeyError: nothing was put under this name.
        """
        with self._lock:
            if name not in self._history:
                raise KeyError(f"no metric {name!r} was put into the storage; known: {sorted(self._history)}")
            return self._history[name]

    def histories(self) -> dict[str, HistoryBuffer]:
        """Name to all values of that metric."""
        with self._lock:
            return dict(self._history)

    def latest(self) -> dict[str, tuple[float, int]]:
        """Name to the newest value and its iteration."""
        with self._lock:
            return dict(self._latest_scalars)

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """Like ``latest``, but noisy metrics as the median of what was put in the last ``window_size`` iterations."""
        with self._lock:
            return {
                name: (
                    self._history[name].median(self.count_samples(name, window_size))
                    if self._smoothing_hints[name]
                    else value,
                    iteration,
                )
                for name, (value, iteration) in self._latest_scalars.items()
            }

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """How many values of ``name`` were put in the ``window_size`` iterations up to its newest value."""
        with self._lock:
            values = self.history(name).values()
            oldest = values[-1][1] - window_size
            return next((n for n, (_, it) in enumerate(reversed(values)) if it <= oldest), len(values))

    def smoothing_hints(self) -> dict[str, bool]:
        """Name to whether the metric is noisy."""
        with self._lock:
            return dict(self._smoothing_hints)

    def step(self) -> None:
        """Begin the next iteration. What is put from here on belongs to it."""
        self._iter += 1

    @property
    def iter(self) -> int:
        """The current iteration."""
        return self._iter

    @iter.setter
    def iter(self, value: int) -> None:
        self._iter = int(value)

    @property
    def iteration(self) -> int:
        """The current iteration; kept for old code, see ``iter``."""
        return self._iter

    def __enter__(self) -> "EventStorage":
        _CURRENT_STORAGE_STACK.append(self)
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        left = _CURRENT_STORAGE_STACK.pop()
        assert left is self, "event storages must be left in the reverse of the order they were entered"

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Within the block, put ``name/`` before the name of everything this thread puts. Scopes do not nest."""
        before = self._current_prefix
        self._scope.prefix = name.rstrip("/") + "/"
        try:
            yield
        finally:
            self._scope.prefix = before

    def clear_images(self) -> None:
        """Forget the images; a writer calls this once it has written them."""
        with self._lock:
            self._vis_data = []

    def clear_histograms(self) -> None:
        """Forget the histograms; a writer calls this once it has written them."""
        with self._lock:
            self._histograms = []
