"""Seconds of an inference run and where they go."""

import datetime
import time
from collections.abc import Iterator

from detectron2.utils.comm import get_world_size

_WARM_UP_ITERATIONS = 5


class InferenceProgress:
    """Where the seconds of inference go, without those of the first few iterations, and the line that says so."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._warm_up = min(_WARM_UP_ITERATIONS, max(total - 1, 0)) if total is not None else _WARM_UP_ITERATIONS
        self._done = 0
        self._clear()
        self._started_at = time.perf_counter()

    def _clear(self) -> None:
        self._data = self._compute = self._evaluate = 0.0
        self._counted = 0
        self._start = time.perf_counter()

    def add(self, data: float, compute: float, evaluate: float) -> None:
        """Count one iteration, given the seconds of its three parts."""
        if self._done == self._warm_up:
            self._clear()
            self._start -= data + compute + evaluate
        self._done += 1
        self._counted += 1
        self._data += data
        self._compute += compute
        self._evaluate += evaluate

    def line(self) -> str | None:
        """Progress as text; None while warming up."""
        if self._done <= self._warm_up:
            return None
        n = self._counted
        per_iteration = (time.perf_counter() - self._start) / n
        text = (
            f"Inference done {self._done}/{self._total if self._total is not None else '?'}. "
            f"Dataloading: {self._data / n:.4f} s/iter. Inference: {self._compute / n:.4f} s/iter. "
            f"Eval: {self._evaluate / n:.4f} s/iter. Total: {per_iteration:.4f} s/iter."
        )
        if self._total is not None:
            eta = datetime.timedelta(seconds=int(per_iteration * (self._total - self._done)))
            text += f" ETA={eta}"
        return text

    def summary(self) -> Iterator[str]:
        """Lines for the end of the run."""
        n = max(self._counted, 1)
        devices = get_world_size()
        total = time.perf_counter() - self._started_at
        yield (
            f"Total inference time: {datetime.timedelta(seconds=int(total))} "
            f"({(time.perf_counter() - self._start) / n:.6f} s / iter per device, on {devices} devices)"
        )
        yield (
            f"Total inference pure compute time: {datetime.timedelta(seconds=int(self._compute))} "
            f"({self._compute / n:.6f} s / iter per device, on {devices} devices)"
        )
