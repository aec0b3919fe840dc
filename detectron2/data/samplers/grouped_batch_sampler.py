"""Batches of samples that belong together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data.sampler import BatchSampler, Sampler


class GroupedBatchSampler(BatchSampler):
    """Batches of indices from one group each, in the order in which the groups fill up.

    Indices that fill no batch when the sampler ends are dropped.
    """

    def __init__(self, sampler: Sampler, group_ids: Sequence[int], batch_size: int) -> None:
        """
        Args:
            sampler: gives single indices.
            group_ids: group of each index of the data set.
            batch_size: indices in a batch.

        Raises:
            TypeError: ``sampler`` is no sampler.
            ValueError: the batch size is not positive, or ``group_ids`` are not integers in one dimension.
        """
        if not isinstance(sampler, Sampler):
            raise TypeError(f"sampler must be a torch Sampler, got {type(sampler).__name__}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        groups = np.asarray(group_ids)
        if groups.ndim != 1 or groups.dtype.kind not in "iub":
            raise ValueError(f"group_ids must be integers in one dimension, got {groups.dtype} of shape {groups.shape}")
        self.sampler = sampler
        self.group_ids = groups.tolist()
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[list[int]]:
        waiting: defaultdict[int, list[int]] = defaultdict(list)
        for index in self.sampler:
            group = self.group_ids[index]
            waiting[group].append(index)
            if len(waiting[group]) == self.batch_size:
                yield waiting.pop(group)

    def __len__(self) -> int:
        raise TypeError("the number of batches of a GroupedBatchSampler depends on the order of the samples")
