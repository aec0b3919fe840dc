"""Samplers that divide one stream of indices among the processes."""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data.sampler import Sampler

from detectron2.utils import comm

logger = logging.getLogger(__name__)


class TrainingSampler(Sampler):
    """An endless stream of indices: one permutation after another, the same on all processes.

    Process r of n takes elements r, r + n, r + 2n, ... of the stream.
    """

    def __init__(self, size: int, shuffle: bool = True, seed: int | None = None) -> None:
        """
        Args:
            size: number of samples in the data set.
            shuffle: permute them anew in each round; else count up.
            seed: of the permutations, the same on all processes; None agrees on a random one.

        Raises:
            TypeError: ``size`` is no integer.
            ValueError: ``size`` is not positive.
        """
        if not isinstance(size, int):
            raise TypeError(f"{type(self).__name__} needs the number of samples as an int, got {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{type(self).__name__} needs at least one sample, got a data set of size {size}")
        self._size = size
        self._shuffle = shuffle
        self._seed = comm.shared_random_seed() if seed is None else int(seed)
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()
        logger.info("Training samples are drawn from %d, seed %d", self._size, self._seed)

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._infinite_indices(), self._rank, None, self._world_size)

    def _infinite_indices(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed)
        while True:
            yield from self._round(generator).tolist()

    def _round(self, generator: torch.Generator) -> torch.Tensor:
        """Indices, int64 [N], until all samples have had their turn."""
        return torch.randperm(self._size, generator=generator) if self._shuffle else torch.arange(self._size)

    def state_dict(self) -> dict[str, int]:
        """What makes another sampler give the same stream."""
        return {"seed": self._seed, "size": self._size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Takes over the stream of the sampler that gave ``state``."""
        self._seed = state["seed"]


class RandomSubsetTrainingSampler(TrainingSampler):
    """A :class:`TrainingSampler` over a random part of the data set, drawn once."""

    def __init__(
        self,
        size: int,
        subset_ratio: float,
        shuffle: bool = True,
        seed_shuffle: int | None = None,
        seed_subset: int | None = None,
    ) -> None:
        """
        Args:
            size: number of samples in the whole data set.
            subset_ratio: part of it to train on, in (0, 1].
            shuffle: permute the part anew in each round.
            seed_shuffle: of these permutations; None agrees on a random one.
            seed_subset: of the choice of the part, the same on all processes; None agrees on a random one.

        Raises:
            ValueError: the ratio is out of range, or leaves no sample.
        """
        super().__init__(size, shuffle=shuffle, seed=seed_shuffle)
        if not 0.0 < subset_ratio <= 1.0:
            raise ValueError(f"subset_ratio (DATALOADER.RANDOM_SUBSET_RATIO) must lie in (0, 1], got {subset_ratio}")
        self._size_subset = int(size * subset_ratio)
        if self._size_subset < 1:
            raise ValueError(
                f"subset_ratio (DATALOADER.RANDOM_SUBSET_RATIO) {subset_ratio} leaves none of {size} samples"
            )
        self._seed_subset = comm.shared_random_seed() if seed_subset is None else int(seed_subset)
        logger.info("Only %d of the samples are used, chosen by seed %d", self._size_subset, self._seed_subset)

    def _round(self, generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randperm(self._size, generator=torch.Generator().manual_seed(self._seed_subset))
        chosen = chosen[: self._size_subset]
        return chosen[torch.randperm(len(chosen), generator=generator)] if self._shuffle else chosen

    def state_dict(self) -> dict[str, int]:
        return {**super().state_dict(), "seed_subset": self._seed_subset}

    def load_state_dict(self, state: dict[str, int]) -> None:
        super().load_state_dict(state)
        self._seed_subset = state["seed_subset"]


class RepeatFactorTrainingSampler(Sampler):
    """An endless stream in which sample i comes ``repeat_factors[i]`` times a round on average.

    For data sets with rare classes: "LVIS: A Dataset for Large Vocabulary Instance Segmentation",
    arXiv:1908.03195, appendix B.2.
    """

    def __init__(self, repeat_factors: torch.Tensor, *, shuffle: bool = True, seed: int | None = None) -> None:
        """
        Args:
            repeat_factors: float [N], how often each sample comes. Its fraction is a probability.
            shuffle: permute each round.
            seed: of repeats and permutations, the same on all processes; None agrees on a random one.

        Raises:
            ValueError: a factor is negative or not finite, or no sample would ever come.
        """
        self._rep_factors = torch.as_tensor(repeat_factors, dtype=torch.float32)
        if not bool(torch.isfinite(self._rep_factors).all()) or bool((self._rep_factors < 0).any()):
            raise ValueError("repeat factors must be finite and at least 0")
        if not bool((self._rep_factors > 0).any()):
            raise ValueError("all repeat factors are zero: no sample would ever come")
        self._whole = self._rep_factors.floor()
        self._shuffle = shuffle
        self._seed = comm.shared_random_seed() if seed is None else int(seed)
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()

    @staticmethod
    def repeat_factors_from_category_frequency(
        dataset_dicts: Sequence[dict], repeat_thresh: float, sqrt: bool = True
    ) -> torch.Tensor:
        """Repeat factors by the rarest class in each image.

        A class found in a share f of the images has the factor max(1, sqrt(repeat_thresh / f)).

        Args:
            dataset_dicts: the data set, with annotations.
            repeat_thresh: share of images below which a class is repeated.
            sqrt: take the root of the quotient, as the paper does.

        Returns:
            float32 [N]; 1 for an image without annotations.
        """
        classes = [{annotation["category_id"] for annotation in d["annotations"]} for d in dataset_dicts]
        images_with = Counter(itertools.chain.from_iterable(classes))
        factors = {}
        for category, count in images_with.items():
            quotient = repeat_thresh * len(dataset_dicts) / count
            factors[category] = max(1.0, math.sqrt(quotient) if sqrt else quotient)
        return torch.tensor([max((factors[c] for c in own), default=1.0) for own in classes], dtype=torch.float32)

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._infinite_indices(), self._rank, None, self._world_size)

    def _infinite_indices(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed)
        while True:
            indices = self._get_epoch_indices(generator)
            order = torch.randperm(len(indices), generator=generator) if self._shuffle else slice(None)
            yield from indices[order].tolist()

    def _get_epoch_indices(self, generator: torch.Generator) -> torch.Tensor:
        """Indices, int64, of one round in order, each as often as drawn for it."""
        drawn = torch.rand(len(self._rep_factors), generator=generator)
        repeats = self._whole + (drawn < self._rep_factors - self._whole).float()
        return torch.repeat_interleave(repeats.long())

    def state_dict(self) -> dict[str, int]:
        """What makes another sampler give the same stream."""
        return {"seed": self._seed, "size": len(self._rep_factors)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Takes over the stream of the sampler that gave ``state``."""
        self._seed = state["seed"]


class InferenceSampler(Sampler):
    """Each sample exactly once: process r of n takes the r-th of n contiguous parts, whose sizes differ by one."""

    def __init__(self, size: int) -> None:
        """
        Args:
            size: number of samples; fewer than processes are fine.

        Raises:
            ValueError: there is no sample.
        """
        if size <= 0:
            raise ValueError(f"InferenceSampler needs at least one sample, got a data set of size {size}")
        self._size = size
        self._local_indices = self._get_local_indices(size, comm.get_world_size(), comm.get_rank())

    @staticmethod
    def _get_local_indices(total_size: int, world_size: int, rank: int) -> range:
        share, rest = divmod(total_size, world_size)
        begin = rank * share + min(rank, rest)
        return range(begin, begin + share + (rank < rest))

    def __iter__(self) -> Iterator[int]:
        yield from self._local_indices

    def __len__(self) -> int:
        return len(self._local_indices)
