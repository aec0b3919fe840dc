"""Data sets made of other data sets."""

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import Dataset, IterableDataset

from detectron2.utils.serialize import PicklableWrapper

from .grouping import AspectRatioGroupedDataset
from .list_dataset import DatasetFromList, set_default_dataset_from_list_serialize_method
from .stream import ToIterableDataset, _shard_iterator_dataloader_worker  # noqa: F401

__all__ = [
    "AspectRatioGroupedDataset",
    "DatasetFromList",
    "MapDataset",
    "ToIterableDataset",
    "set_default_dataset_from_list_serialize_method",
]

logger = logging.getLogger(__name__)

TRIES_BEFORE_WARNING = 3
MAX_TRIES = 1000


def _add_to_message(error: Exception, text: str) -> None:
    """Says more in the message of an error, whose type stays."""
    if isinstance(error, OSError) and error.strerror is not None:
        error.strerror = f"{error.strerror} ({text})"
    elif error.args and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]} ({text})", *error.args[1:])
    elif hasattr(error, "add_note"):
        error.add_note(text)


def _map_sample(map_func: Callable[[Any], Any], sample: Any, name: str) -> Any:
    """``map_func(sample)``; an error names the sample's file."""
    # Taken before, as the function may change the sample.
    file_name = sample.get("file_name") if isinstance(sample, dict) else None
    try:
        return map_func(sample)
    except Exception as error:
        if file_name is None or str(file_name) not in str(error):
            _add_to_message(error, f"while loading {name if file_name is None else file_name}")
        raise


class _MapIterableDataset(IterableDataset):
    """A function over an iterable data set. What it maps to None is left out."""

    def __init__(self, dataset: IterableDataset, map_func: Callable[[Any], Any]) -> None:
        self._dataset = dataset
        self._map_func = PicklableWrapper(map_func)

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Any]:
        for number, sample in enumerate(self._dataset):
            mapped = _map_sample(self._map_func, sample, f"sample {number} of the stream")
            if mapped is not None:
                yield mapped


class MapDataset(Dataset):
    """A function over the samples of a data set, map-style or iterable as that is."""

    def __new__(cls, dataset: Dataset, map_func: Callable[[Any], Any]) -> Dataset:
        if isinstance(dataset, IterableDataset):
            return _MapIterableDataset(dataset, map_func)
        return super().__new__(cls)

    def __init__(self, dataset: Dataset, map_func: Callable[[Any], Any]) -> None:
        """
        Args:
            dataset: map-style or iterable.
            map_func: from a sample to another one. None says that this sample cannot be used: a map-style data set
                gives a random other one in its place, an iterable one leaves it out.
        """
        self._dataset = dataset
        self._map_func = PicklableWrapper(map_func)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self._dataset, self._map_func

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, idx: int) -> Any:
        """The sample, mapped.

        Raises:
            RuntimeError: the function gave None again and again.
        """
        original = idx
        for attempt in range(1, MAX_TRIES + 1):
            sample = _map_sample(self._map_func, self._dataset[idx], f"sample {idx}")
            if sample is not None:
                return sample
            if attempt == TRIES_BEFORE_WARNING:
                logger.warning("No usable sample after %d tries in place of sample %d", attempt, original)
            # The shared generator, as a loader seeds it by the sample's place in the stream.
            idx = random.randrange(len(self._dataset))
        raise RuntimeError(f"the mapper gave None for sample {original} and {MAX_TRIES - 1} random others")
