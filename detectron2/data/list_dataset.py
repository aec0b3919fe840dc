"""A list as a data set, packed so that worker processes share its memory."""

import contextlib
import copy
import logging
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

logger = logging.getLogger("detectron2.data.common")


class PackedList:
    """Objects pickled one after another into a single tensor of bytes.

    A list of many dictionaries would be copied page by page into each forked worker, as reading an object changes its
    reference count. The tensor is shared with forked workers, and by shared memory with spawned ones.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        start = time.perf_counter()
        packed = [pickle.dumps(item, protocol=-1) for item in items]
        self._ends = torch.tensor([len(item) for item in packed], dtype=torch.int64).cumsum(0)
        self._bytes = torch.from_numpy(np.frombuffer(bytearray(b"".join(packed)), dtype=np.uint8))
        logger.info(
            "%d samples packed into %.1f MiB in %.1f s",
            len(packed),
            self._bytes.numel() / 2**20,
            time.perf_counter() - start,
        )

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Any:
        end = self._ends[index].item()
        begin = self._ends[index - 1].item() if index % len(self) else 0
        return pickle.loads(memoryview(self._bytes[begin:end].numpy()))


_default_packing: Callable[[Sequence[Any]], Sequence[Any]] = PackedList


@contextlib.contextmanager
def set_default_dataset_from_list_serialize_method(new: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterator[None]:
    """Within the block, :class:`DatasetFromList` packs with another class.

    Args:
        new: from a list to an object with ``len`` and items.
    """
    global _default_packing
    before, _default_packing = _default_packing, new
    try:
        yield
    finally:
        _default_packing = before


class DatasetFromList(Dataset):
    """A list as a map-style data set."""

    def __init__(self, lst: list, copy: bool = True, serialize: bool | Callable = True) -> None:
        """
        Args:
            lst: the samples.
            copy: give a deep copy of a sample, so that it may be changed. Packed samples are copies anyway.
            serialize: pack the list, see :class:`PackedList`; or a function that packs it in another way.
        """
        self._copy = copy
        self._serialize = serialize
        if serialize:
            self._lst = serialize(lst) if callable(serialize) else _default_packing(lst)
        else:
            self._lst = lst

    def __len__(self) -> int:
        return len(self._lst)

    def __getitem__(self, idx: int) -> Any:
        item = self._lst[idx]
        return copy.deepcopy(item) if self._copy and not self._serialize else item
