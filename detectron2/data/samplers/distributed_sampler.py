"""Samplers that share the images out over the processes of a run.

The training samplers are endless. All processes draw the same order from one seed, and process ``r`` of ``R`` takes
every R-th index of it from the r-th on; so the order does not depend on how fast anybody is, and no two processes
visit the same position. Their seed is all they remember: ``state_dict`` holds it for a run that is resumed.
"""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data.sampler import Sampler

from detectron2.utils import comm

logger = logging.getLogger(__name__)


def _shared_seed(seed: int | None) -> int:
    return comm.shared_random_seed() if seed is None else int(seed)


def _generator(seed: int) -> torch.Generator:
    generator = torch.Generator()
    generator.manual_seed(seed)
    return generator


class _EndlessSampler(Sampler):
    """Deals the endless sequence of ``_infinite_indices`` out to the processes, one index each in turn."""

    def __init__(self, shuffle: bool, seed: int | None) -> None:
        self._shuffle = shuffle
        self._seed = _shared_seed(seed)
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()

    def __iter__(self) -> Iterator[int]:
        yield from itertools.islice(self._infinite_indices(), self._rank, None, self._world_size)

    def _infinite_indices(self) -> Iterator[int]:
        """The sequence that all processes share. Subclasses may replace it."""
        generator = _generator(self._seed)
        while True:
            indices = self._epoch_indices(generator)
            if len(indices) == 0:
                raise ValueError(f"{type(self).__name__} got an epoch without any index")
            order = torch.randperm(len(indices), generator=generator) if self._shuffle else torch.arange(len(indices))
            yield from indices[order].tolist()

    def _epoch_indices(self, generator: torch.Generator) -> torch.Tensor:
        """Indices of one epoch, int64 ``Tensor[N]``, before they are shuffled."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The seeds, as plain numbers."""
        return {"seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the seeds of ``state_dict``, so that the next iteration gives the same order."""
        self._seed = state["seed"]


def _checked_size(size: int, owner: str) -> int:
    if not isinstance(size, int):
        raise TypeError(f"{owner} needs the number of images as an int, got {type(size).__name__}")
    if size <= 0:
        raise ValueError(f"{owner} needs at least one image, got a data set of size {size}")
    return size


class TrainingSampler(_EndlessSampler):
    """Endless, each image once an epoch; the default in training."""

    def __init__(self, size: int, shuffle: bool = True, seed: int | None = None) -> None:
        """
        Args:
            size: number of images.
            shuffle: draw a new order each epoch.
            seed: of the shuffling; without it one that all processes agree on is drawn.

        Raises:
            ValueError: no images.
        """
        self._size = _checked_size(size, type(self).__name__)
        super().__init__(shuffle, seed)

    def _epoch_indices(self, generator: torch.Generator) -> torch.Tensor:
        return torch.arange(self._size)


class RandomSubsetTrainingSampler(TrainingSampler):
    """As ``TrainingSampler``, over a random part of the images that stays the same all through training."""

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
            size: number of images in the whole data set.
            subset_ratio: part of them to use, in (0, 1].
            shuffle: draw a new order each epoch.
            seed_shuffle, seed_subset: of the shuffling and of the choice; drawn where not given.

        Raises:
            ValueError: the ratio leaves no image, or is above 1.
        """
        super().__init__(size, shuffle, seed_shuffle)
        if not 0.0 < subset_ratio <= 1.0 or int(size * subset_ratio) < 1:
            raise ValueError(
                f"DATALOADER.RANDOM_SUBSET_RATIO {subset_ratio} of {size} images is not 1 to {size} images"
            )
        self._size_subset = int(size * subset_ratio)
        self._choose(_shared_seed(seed_subset))
        logger.info("Using %d of %d images, chosen at random", self._size_subset, size)

    def _choose(self, seed: int) -> None:
        self._seed_subset = seed
        self._indexes_subset = torch.randperm(self._size, generator=_generator(seed))[: self._size_subset]

    def _epoch_indices(self, generator: torch.Generator) -> torch.Tensor:
        return self._indexes_subset

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "seed_subset": self._seed_subset}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._choose(state["seed_subset"])


class RepeatFactorTrainingSampler(_EndlessSampler):
    """Endless; image ``i`` appears ``repeat_factors[i]`` times an epoch on average (LVIS, section 5.2, 1908.03195)."""

    def __init__(self, repeat_factors: torch.Tensor, *, shuffle: bool = True, seed: int | None = None) -> None:
        """
        Args:
            repeat_factors: ``Tensor[N]``, not negative. The fractional part is rounded at random each epoch.
            shuffle: draw a new order each epoch.
            seed: of rounding and shuffling; without it one that all processes agree on is drawn.

        Raises:
            ValueError: a factor is negative or not finite, or all are zero.
        """
        super().__init__(shuffle, seed)
        factors = torch.as_tensor(repeat_factors)
        if not bool((torch.isfinite(factors) & (factors >= 0)).all()) or not bool((factors > 0).any()):
            raise ValueError("repeat factors must be finite, not negative, and not all zero")
        self._int_part = torch.trunc(factors)
        self._frac_part = factors - self._int_part

    def _epoch_indices(self, generator: torch.Generator) -> torch.Tensor:
        extra = torch.rand(len(self._frac_part), generator=generator) < self._frac_part
        times = (self._int_part + extra).long()
        return torch.repeat_interleave(torch.arange(len(times)), times)

    @staticmethod
    def repeat_factors_from_category_frequency(
        dataset_dicts: Sequence[dict[str, Any]], repeat_thresh: float, sqrt: bool = True
    ) -> torch.Tensor:
        """Repeat images of rare classes: an image gets the largest ``max(1, sqrt(t / f))`` among its classes.

        Args:
            dataset_dicts: the data set.
            repeat_thresh: ``t``; classes in a smaller part ``f`` of the images are repeated.
            sqrt: without it the factor of a class is ``max(1, t / f)``.

        Returns:
            float32 ``Tensor[N]``, one factor for each image.
        """
        classes_of_images = [{a["category_id"] for a in record["annotations"]} for record in dataset_dicts]
        images_of_class = Counter(itertools.chain.from_iterable(classes_of_images))
        factor_of_class = {}
        for category, count in images_of_class.items():
            ratio = repeat_thresh * len(dataset_dicts) / count
            factor_of_class[category] = max(1.0, math.sqrt(ratio) if sqrt else ratio)
        factors = [max((factor_of_class[c] for c in classes), default=1.0) for classes in classes_of_images]
        return torch.tensor(factors, dtype=torch.float32)


class InferenceSampler(Sampler):
    """Every image exactly once over all processes, in order: each takes one run of consecutive indices.

    The parts differ by one image at most; with fewer images than processes some parts are empty.
    """

    def __init__(self, size: int) -> None:
        """
        Args:
            size: number of images.

        Raises:
            ValueError: no images.
        """
        self._size = _checked_size(size, type(self).__name__)
        self._local_indices = self._get_local_indices(size, comm.get_world_size(), comm.get_rank())

    @staticmethod
    def _get_local_indices(total_size: int, world_size: int, rank: int) -> range:
        share, left_over = divmod(total_size, world_size)
        begin = rank * share + min(rank, left_over)
        return range(begin, begin + share + (rank < left_over))

    def __iter__(self) -> Iterator[int]:
        yield from self._local_indices

    def __len__(self) -> int:
        return len(self._local_indices)
