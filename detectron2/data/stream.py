"""Samples as a stream, each with its position, divided among the workers of a loader."""

import contextlib
import itertools
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from torch.utils.data import Dataset, IterableDataset, Sampler, get_worker_info

from detectron2.utils import comm

from .sample_rng import seeded_by


def _shard_iterator_dataloader_worker(iterable: Iterable[Any], chunk_size: int = 1) -> Iterator[Any]:
    """The part of ``iterable`` for this worker: chunks of ``chunk_size`` are dealt out in turn.

    A loader collects one batch from each worker in turn: with chunks of the batch size its batches are those of a
    single process. Outside of a worker, everything.
    """
    worker = get_worker_info()
    for number, item in enumerate(iterable):
        if worker is None or number // chunk_size % worker.num_workers == worker.id:
            yield item


class ToIterableDataset(IterableDataset):
    """A map-style data set in the order of a sampler."""

    def __init__(
        self,
        dataset: Dataset,
        sampler: Sampler,
        shard_sampler: bool = True,
        shard_chunk_size: int = 1,
        *,
        seed: int | None = None,
    ) -> None:
        """
        Args:
            dataset: gives a sample by its index.
            sampler: gives the same indices in each worker.
            shard_sampler: divide the indices among the workers; without it, ``sampler`` has to.
            shard_chunk_size: so many consecutive indices go to one worker.
            seed: the random numbers of each sample become a function of (seed, rank, position in the stream), whatever
                the number of workers; None leaves the generators alone.

        Raises:
            TypeError: the data set is iterable already, or ``sampler`` is no sampler.
        """
        if isinstance(dataset, IterableDataset):
            raise TypeError("ToIterableDataset needs a map-style data set, this one is iterable already")
        if not isinstance(sampler, Sampler):
            raise TypeError(f"sampler must be a torch Sampler, got {type(sampler).__name__}")
        self.dataset = dataset
        self.sampler = sampler
        self.shard_sampler = shard_sampler
        self.shard_chunk_size = shard_chunk_size
        self.seed = seed
        self.start = 0
        """Position of the first sample to load; those before are skipped unread."""

    def __iter__(self) -> Iterator[Any]:
        places = itertools.islice(self._places(), self.start, None)
        if self.shard_sampler:
            places = _shard_iterator_dataloader_worker(places, self.shard_chunk_size)
        for position, index in places:
            yield self._load(position, index)

    def __len__(self) -> int:
        return len(self.sampler)

    def load_positions(self, positions: Collection[int]) -> Iterator[tuple[int, Any]]:
        """Loads single samples of the stream once more, as they were.

        Args:
            positions: theirs, in any order.

        Returns:
            Position and sample of each, in the order of the stream.
        """
        wanted = set(positions)
        for position, index in itertools.islice(self._places(), max(wanted, default=-1) + 1):
            if position in wanted:
                yield position, self._load(position, index)

    def _places(self) -> Iterator[tuple[int, int]]:
        """Position and index of all samples of this process."""
        # PyTorch's own random samplers draw a seed when they start: it has to be the same in each worker.
        with self._random_numbers(0):
            indices = iter(self.sampler)
            first = list(itertools.islice(indices, 1))
        return enumerate(itertools.chain(first, indices))

    def _load(self, position: int, index: int) -> Any:
        with self._random_numbers(1 + position):
            return self.dataset[index]

    def _random_numbers(self, *key: int) -> AbstractContextManager:
        if self.seed is None:
            return contextlib.nullcontext()
        worker = get_worker_info()
        # Positions count up in each worker if the sampler divides the indices by itself.
        part = () if self.shard_sampler or worker is None else (worker.id,)
        return seeded_by(self.seed, comm.get_rank(), *key, *part)
