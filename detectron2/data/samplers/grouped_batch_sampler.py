"""Batches whose members belong together, for map-style loaders."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data.sampler import BatchSampler, Sampler


class GroupedBatchSampler(BatchSampler):
    """Batches of indices of one group each, in an order as close to the sampler's as that allows.

    A batch is given as soon as it is full. Indices of a batch that never fills are left out.
    """

    def __init__(self, sampler: Sampler, group_ids: Sequence[int], batch_size: int) -> None:
        """
        Args:
            sampler: gives the indices one by one.
            group_ids: the group of each index.
            batch_size: indices in a batch.

        Raises:
            TypeError: ``sampler`` is none.
        """
        if not isinstance(sampler, Sampler):
            raise TypeError(f"GroupedBatchSampler needs a torch.utils.data.Sampler, got {type(sampler).__name__}")
        self.sampler = sampler
        self.group_ids = np.asarray(group_ids)
        if self.group_ids.ndim != 1:
            raise ValueError(f"group_ids must be one id for each index, got shape {self.group_ids.shape}")
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[list[int]]:
        open_batches: dict[int, list[int]] = defaultdict(list)
        for index in self.sampler:
            group = int(self.group_ids[index])
            open_batches[group].append(index)
            if len(open_batches[group]) == self.batch_size:
                yield open_batches.pop(group)

    def __len__(self) -> int:
        raise TypeError("no length: how many batches fill up is known only after going through the sampler")
