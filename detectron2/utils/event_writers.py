"""Writers that take the current ``EventStorage`` to a JSON file, to TensorBoard and to the console."""

import datetime
import json
import logging
import os
import time
from functools import cached_property
from typing import Any

import torch

from detectron2.utils.event_storage import EventStorage, get_event_storage
from detectron2.utils.file_io import PathManager


class EventWriter:
    """Base of the writers: ``write`` takes what is new in the current storage somewhere."""

    def write(self) -> None:
        """Write what was put since the last call."""
        raise NotImplementedError(f"{type(self).__name__} does not implement write()")

    def close(self) -> None:
        """Release what the writer holds."""


class JSONWriter(EventWriter):
    """One JSON object a line: ``iteration`` and every scalar of it.

    A run that goes on where another was killed may compute iterations again that the file already has. Their old
    lines then move to ``<json_file>.superseded``, so that the file has one line an iteration.
    """

    def __init__(self, json_file: str, window_size: int = 20) -> None:
        """
        Args:
            json_file: the file to append to.
            window_size: iterations that noisy scalars are smoothed over.

        Raises:
            OSError: the file cannot be opened for writing.
        """
        self._path = json_file
        self._file_handle = PathManager.open(json_file, "a")
        self._window_size = window_size
        self._last_write = -1
        self._fresh = True

    def write(self) -> None:
        storage = get_event_storage()
        by_iteration: dict[int, dict[str, float]] = {}
        for name, (value, iteration) in storage.latest_with_smoothing_hint(self._window_size).items():
            # a scalar that was not put again since the last write has been written already
            if iteration > self._last_write:
                by_iteration.setdefault(iteration, {"iteration": iteration})[name] = value
        if not by_iteration:
            return
        if self._fresh:
            self._set_superseded_aside(min(by_iteration))
            self._fresh = False
        for iteration in sorted(by_iteration):
            self._file_handle.write(json.dumps(by_iteration[iteration], sort_keys=True) + "\n")
        self._last_write = max(by_iteration)
        self._file_handle.flush()
        try:
            os.fsync(self._file_handle.fileno())
        except (AttributeError, OSError):
            pass  # a file of a remote handler has no descriptor to sync

    def _set_superseded_aside(self, first: int) -> None:
        """Move lines of iterations from ``first`` on, and a line torn by a kill, out of the file."""
        if not os.path.isfile(self._path):
            return  # remote files are only ever appended to
        with open(self._path, encoding="utf-8") as f:
            lines = f.readlines()
        kept = [line for line in lines if _iteration_of(line) < first]
        if len(kept) == len(lines):
            return
        self._file_handle.close()
        with open(self._path + ".superseded", "a", encoding="utf-8") as f:
            f.writelines(line.rstrip("\n") + "\n" for line in lines if _iteration_of(line) >= first)
        partial = self._path + ".tmp"
        with open(partial, "w", encoding="utf-8") as f:
            f.writelines(kept)
        os.replace(partial, self._path)
        self._file_handle = PathManager.open(self._path, "a")

    def close(self) -> None:
        self._file_handle.close()


def _iteration_of(line: str) -> float:
    """The iteration of one line of a metrics file; infinity for a line that is no whole record."""
    if not line.endswith("\n"):
        return float("inf")
    try:
        return json.loads(line).get("iteration", -1)
    except (ValueError, AttributeError):
        return float("inf")


class TensorboardXWriter(EventWriter):
    """Scalars, images and histograms for TensorBoard. The event file appears with the first ``write``."""

    def __init__(self, log_dir: str, window_size: int = 20, **kwargs: Any) -> None:
        """
        Args:
            log_dir: folder of the event files.
            window_size: iterations that noisy scalars are smoothed over.
            kwargs: further arguments of ``torch.utils.tensorboard.SummaryWriter``.
        """
        self._window_size = window_size
        self._writer_args = {"log_dir": log_dir, **kwargs}
        self._last_write = -1

    @cached_property
    def _writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(**self._writer_args)

    def write(self) -> None:
        storage = get_event_storage()
        newest = self._last_write
        for name, (value, iteration) in storage.latest_with_smoothing_hint(self._window_size).items():
            if iteration > self._last_write:
                self._writer.add_scalar(name, value, iteration)
                newest = max(newest, iteration)
        self._last_write = newest
        for name, image, iteration in storage._vis_data:
            self._writer.add_image(name, image, iteration)
        storage.clear_images()
        for histogram in storage._histograms:
            self._writer.add_histogram_raw(**histogram)
        storage.clear_histograms()

    def close(self) -> None:
        if "_writer" in self.__dict__:
            self._writer.close()


class CommonMetricPrinter(EventWriter):
    """One log line: time left, iteration, losses, seconds an iteration and of waiting for data, rate, GPU memory."""

    def __init__(self, max_iter: int | None = None, window_size: int = 20) -> None:
        """
        Args:
            max_iter: the last iteration; without it no time left is given.
            window_size: iterations that losses and times are smoothed over.
        """
        self.logger = logging.getLogger("detectron2.utils.events")
        self._max_iter = max_iter
        self._window_size = window_size
        self._last_write: tuple[int, float] | None = None

    def _get_eta(self, storage: EventStorage) -> str | None:
        """Time left as ``h:mm:ss``, or None while it is unknown."""
        if self._max_iter is None:
            return None
        iteration, now = storage.iter, time.perf_counter()
        seconds_per_iter = None
        if "time" in storage.histories():
            # the median over many iterations ignores evaluation and saving in between
            seconds_per_iter = storage.history("time").median(1000)
        elif self._last_write is not None and iteration > self._last_write[0]:
            seconds_per_iter = (now - self._last_write[1]) / (iteration - self._last_write[0])
        self._last_write = (iteration, now)
        if seconds_per_iter is None:
            return None
        eta_seconds = seconds_per_iter * (self._max_iter - iteration - 1)
        storage.put_scalar("eta_seconds", eta_seconds, smoothing_hint=False)
        return str(datetime.timedelta(seconds=int(eta_seconds)))

    def write(self) -> None:
        storage = get_event_storage()
        if storage.iter == self._max_iter:
            return  # the loop writes once more behind its last iteration, which is printed already
        histories = storage.histories()
        eta = self._get_eta(storage)
        parts = [f"eta: {eta}"] if eta else []
        parts.append(f"iter: {storage.iter}")
        for name in histories:
            if "loss" in name:
                parts.append(f"{name}: {self._smoothed(storage, name):.4g}")
        for name in ("time", "data_time"):
            if name in histories:
                parts.append(f"{name}: {histories[name].avg(storage.count_samples(name, self._window_size)):.4f}")
                parts.append(f"last_{name}: {histories[name].latest():.4f}")
        parts.append(f"lr: {histories['lr'].latest():.5g}" if "lr" in histories else "lr: N/A")
        if torch.cuda.is_available():
            parts.append(f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M")
        self.logger.info(" " + "  ".join(parts))

    def _smoothed(self, storage: EventStorage, name: str) -> float:
        return storage.history(name).median(storage.count_samples(name, self._window_size))
