"""Where a loader spends its time: the data set, the mapper, the workers, or sending between processes."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from fvcore.common.timer import Timer
from torch.utils.data import Dataset, Sampler

from detectron2.utils import comm

from .build import build_batch_data_loader
from .common import DatasetFromList, MapDataset
from .samplers import TrainingSampler

logger = logging.getLogger(__name__)

PERCENTILES = (1, 5, 50, 95, 99)


class _Forever(Dataset):
    """The same object at every index."""

    def __init__(self, item: Any, size: int = 2**31) -> None:
        self._item = item
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Any:
        return self._item


def iter_benchmark(
    iterator: Iterator[Any], num_iter: int, warmup: int = 5, max_time_seconds: float = 60
) -> tuple[float, list[float]]:
    """Times an iterator.

    Args:
        iterator: with at least ``warmup + num_iter`` elements.
        num_iter: elements to time.
        warmup: elements before these that are not timed.
        max_time_seconds: stop earlier after so much time.

    Returns:
        Mean seconds an element, and the seconds of each.
    """
    for _ in range(warmup):
        next(iterator)
    clock, seconds = Timer(), []
    while len(seconds) < num_iter and clock.seconds() < max_time_seconds:
        start = time.perf_counter()
        next(iterator)
        seconds.append(time.perf_counter() - start)
    if not seconds:
        raise ValueError(f"nothing to time: num_iter is {num_iter}, max_time_seconds {max_time_seconds}")
    return float(np.mean(seconds)), seconds


class DataLoaderBenchmark:
    """Times the stages of a training loader one by one. Each method logs seconds and samples a second."""

    def __init__(
        self,
        dataset: list[Any] | Dataset,
        *,
        mapper: Callable[[Any], Any],
        sampler: Sampler | None = None,
        total_batch_size: int,
        num_workers: int = 0,
        max_time_seconds: int = 90,
    ) -> None:
        """
        Args:
            dataset: a list of dictionaries, or a map-style data set.
            mapper: from one of these to what the model takes.
            sampler: by default a :class:`TrainingSampler`.
            total_batch_size: samples in a batch of all processes together.
            num_workers: processes that load.
            max_time_seconds: longest time of each measurement.
        """
        if isinstance(dataset, list):
            dataset = DatasetFromList(dataset, copy=False)
        self.dataset = dataset
        self.mapper = mapper
        self.sampler = TrainingSampler(len(dataset)) if sampler is None else sampler
        self.total_batch_size = total_batch_size
        self.num_workers = num_workers
        self.per_gpu_batch_size = total_batch_size // comm.get_world_size()
        self.max_time_seconds = max_time_seconds

    def benchmark_dataset(self, num_iter: int, warmup: int = 5) -> None:
        """Reading raw samples, in batches, without mapper or workers."""
        self._measure("data set alone", lambda: self._batches(self.dataset), num_iter, warmup)

    def benchmark_mapper(self, num_iter: int, warmup: int = 5) -> None:
        """Reading and mapping, in batches, in this process."""
        mapped = MapDataset(self.dataset, self.mapper)
        self._measure("data set and mapper", lambda: self._batches(mapped), num_iter, warmup)

    def benchmark_workers(self, num_iter: int, warmup: int = 10) -> None:
        """The whole loader with one worker and with as many as asked for."""
        for workers in sorted({min(1, self.num_workers), self.num_workers}):
            self._measure(f"loader with {workers} workers", lambda w=workers: self._loader(w), num_iter, warmup)

    def benchmark_IPC(self, num_iter: int, warmup: int = 10) -> None:
        """Only sending one mapped sample from the workers to here, over and over."""
        sample = self.mapper(self.dataset[0])
        loader = build_batch_data_loader(
            _Forever(sample),
            TrainingSampler(1, shuffle=False),
            self.total_batch_size,
            num_workers=self.num_workers,
        )
        self._measure(f"sending from {self.num_workers} workers", lambda: loader, num_iter, warmup)

    def benchmark_distributed(self, num_iter: int, warmup: int = 10) -> None:
        """The whole loader in all processes at once; logs the slowest process too. All call it."""
        mean = self._measure("loader", lambda: self._loader(self.num_workers), num_iter, warmup)
        means = comm.all_gather(mean)
        comm.synchronize()
        logger.info("loader in %d processes: fastest %.4f s, slowest %.4f s", len(means), min(means), max(means))

    def _batches(self, dataset: Dataset) -> Iterator[list[Any]]:
        indices = iter(self.sampler)
        while True:
            yield [dataset[next(indices)] for _ in range(self.per_gpu_batch_size)]

    def _loader(self, workers: int) -> Iterable[list[Any]]:
        dataset = MapDataset(self.dataset, self.mapper)
        return build_batch_data_loader(dataset, self.sampler, self.total_batch_size, num_workers=workers)

    def _measure(self, what: str, make: Callable[[], Iterable[Any]], num_iter: int, warmup: int) -> float:
        """Logs and returns the mean seconds a batch of this process."""
        start = time.perf_counter()
        batches = iter(make())
        next(batches)
        first = time.perf_counter() - start
        mean, seconds = iter_benchmark(batches, num_iter, warmup, self.max_time_seconds)
        percentiles = ", ".join(f"{p}%: {np.percentile(seconds, p):.4f}" for p in PERCENTILES)
        logger.info(
            "%s: %.4f s a batch of %d, %.1f samples/s; first batch after %.2f s; percentiles in s: %s",
            what,
            mean,
            self.per_gpu_batch_size,
            self.per_gpu_batch_size / mean,
            first,
            percentiles,
        )
        return mean
