"""Loaders that know how far they are and can go on from there."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from .grouping import bucket_of
from .stream import ToIterableDataset

logger = logging.getLogger(__name__)


class ResumableDataLoader(DataLoader):
    """A ``DataLoader`` over a seeded stream of samples, with ``state_dict`` and ``load_state_dict``.

    What workers loaded ahead does not count: the state is that of the batches handed out.
    """

    def __init__(self, dataset: ToIterableDataset, **kwargs: Any) -> None:
        """
        Args:
            dataset: with a seed.
            **kwargs: of ``DataLoader``. With ``batch_size=None`` single samples come out.
        """
        super().__init__(dataset, **kwargs)
        self.consumed = 0
        """Samples handed out, counted from the beginning of the stream."""
        self._next_start = 0

    def __iter__(self) -> Iterator[Any]:
        start, self._next_start = self._next_start, 0
        if start != self.dataset.start:
            self.dataset.start = start
            self._iterator = None  # persistent workers hold a copy of the stream with its old start
        self.consumed = start
        return self._counted(super().__iter__())

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self.consumed += self.batch_size or 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Seeds, and the number of samples handed out; plain numbers only."""
        state = {"seed": self.dataset.seed, "sampler": {}, "consumed": self.consumed}
        if hasattr(self.dataset.sampler, "state_dict"):
            state["sampler"] = self.dataset.sampler.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """The next ``iter`` of this loader goes on where ``state`` was taken; no skipped sample is loaded.

        Another number of workers makes no difference. A data set of another size does: nothing is restored then, and
        a warning says so.

        Args:
            state: of a loader over the same data set, with a sampler of the same kind.

        Returns:
            Whether the position was restored.
        """
        sampler = self.dataset.sampler
        known = sampler.state_dict() if hasattr(sampler, "state_dict") else {}
        before = state["sampler"]
        if known.keys() != before.keys() or known.get("size") != before.get("size"):
            logger.warning(
                "The data begin anew: the sampler's state is %s, but this %s has %s. Another data set or sampler?",
                before,
                type(sampler).__name__,
                known,
            )
            return False
        if known:
            sampler.load_state_dict(before)
        self.dataset.seed = state["seed"]
        self.consumed = self._next_start = state["consumed"]
        self._iterator = None  # persistent workers hold a copy of the stream with its old seeds
        return True


class GroupedLoader(IterableDataset):
    """Batches by aspect ratio, see :class:`.grouping.AspectRatioGroupedDataset`, from a resumable loader of samples."""

    def __init__(
        self, loader: ResumableDataLoader, batch_size: int, collate_fn: Callable[[list[Any]], Any] | None = None
    ) -> None:
        """
        Args:
            loader: of single samples with "width" and "height".
            batch_size: samples in a batch.
            collate_fn: makes a batch of a list of samples; by default it stays a list.
        """
        self.dataset = loader
        self.batch_size = batch_size
        self._collate = collate_fn
        self._pending: list[list[tuple[int, Any]]] = [[], []]
        # Positions to load again before anything else: in this iteration, and in the next one.
        self._unloaded: list[int] = []
        self._next_unloaded: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        # Begun here and not in the generator below, so that the state is right before the first batch too.
        self._pending = [[], []]
        self._unloaded, self._next_unloaded = self._next_unloaded, []
        return self._batches(iter(self.dataset))

    def _batches(self, samples: Iterator[Any]) -> Iterator[Any]:
        for position, sample in self.dataset.dataset.load_positions(self._unloaded):
            self._pending[bucket_of(sample)].append((position, sample))
        self._unloaded = []
        yield from self._full_batches()
        for sample in samples:
            self._pending[bucket_of(sample)].append((self.dataset.consumed - 1, sample))
            yield from self._full_batches()

    def _full_batches(self) -> Iterator[Any]:
        for bucket in self._pending:
            while len(bucket) >= self.batch_size:
                batch = [sample for _, sample in bucket[: self.batch_size]]
                del bucket[: self.batch_size]
                yield batch if self._collate is None else self._collate(batch)

    def state_dict(self) -> dict[str, Any]:
        """That of the loader, and the positions of the samples that wait for their batch to fill up."""
        waiting = sorted(position for bucket in self._pending for position, _ in bucket)
        return {**self.dataset.state_dict(), "pending": self._next_unloaded or self._unloaded or waiting}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """See :meth:`ResumableDataLoader.load_state_dict`. Waiting samples are loaded again."""
        restored = self.dataset.load_state_dict(state)
        if restored:
            self._pending, self._unloaded = [[], []], []
            self._next_unloaded = list(state.get("pending", ()))
        return restored
