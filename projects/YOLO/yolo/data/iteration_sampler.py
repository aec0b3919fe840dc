"""Telling each sample the iteration in which it will be used.

Mappers run in worker processes, ahead of the training and without a way to ask it how far it is. The stream of indices
is the same in all of them and goes on where it was after a restart, so the iteration is counted there: an index carries
it through the data set to the mapper and the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset, Sampler

from .records import Records

__all__ = ["IterationDataset", "IterationIndex", "IterationSampler"]


class IterationIndex(int):
    """An index into a data set that knows when its sample is used.

    Attributes:
        iteration: of the training, counted from 0.
        seed: of the sampler, the same in all processes and for the whole training.
    """

    iteration: int
    seed: int

    def __new__(cls, index: int, iteration: int, seed: int) -> IterationIndex:
        self = super().__new__(cls, index)
        self.iteration = iteration
        self.seed = seed
        return self


class IterationSampler(Sampler):
    """Gives the indices of another sampler together with their iterations.

    Args:
        sampler: endless, of this process, best with ``state_dict`` and ``load_state_dict``.
        samples_per_iteration: of this process: its batch size times the batches of an iteration.

    Raises:
        ValueError: ``samples_per_iteration`` is not positive.
    """

    def __init__(self, sampler: Sampler, samples_per_iteration: int) -> None:
        if samples_per_iteration < 1:
            raise ValueError(f"samples_per_iteration must be at least 1, got {samples_per_iteration}")
        self.sampler = sampler
        self.samples_per_iteration = samples_per_iteration

    def __iter__(self) -> Iterator[IterationIndex]:
        seed = int(self.state_dict().get("seed", 0))
        for position, index in enumerate(self.sampler):
            yield IterationIndex(index, position // self.samples_per_iteration, seed)

    def state_dict(self) -> dict[str, Any]:
        """That of the sampler inside."""
        return self.sampler.state_dict() if hasattr(self.sampler, "state_dict") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Gives the sampler inside its state back."""
        if hasattr(self.sampler, "load_state_dict"):
            self.sampler.load_state_dict(state)


class IterationDataset(Dataset):
    """Adds "iteration" and "stream_seed" to dictionaries that are asked for by an :class:`IterationIndex`.

    Args:
        dataset: of dictionaries, which are not changed.
    """

    def __init__(self, dataset: Records) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.dataset[int(index)]
        if not isinstance(index, IterationIndex):
            return item
        return {**item, "iteration": index.iteration, "stream_seed": index.seed}
