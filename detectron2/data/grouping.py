"""Batches of landscape or of portrait images: less padding than in a mixed one."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch.utils.data import IterableDataset


def bucket_of(sample: dict[str, Any]) -> int:
    """0 for an image wider than high, 1 for the others.

    Raises:
        KeyError: the sample has no "width" or "height".
    """
    try:
        return 0 if sample["width"] > sample["height"] else 1
    except KeyError as error:
        raise KeyError(
            f"sample {sample.get('file_name', '')!r} has no {error}, by which images are grouped: add it to the data "
            "set's dictionaries, or switch DATALOADER.ASPECT_RATIO_GROUPING off"
        ) from None


class AspectRatioGroupedDataset(IterableDataset):
    """Batches of images that are all wider than high, or all not, in the order in which they fill up."""

    def __init__(self, dataset: Iterable[dict[str, Any]], batch_size: int) -> None:
        """
        Args:
            dataset: gives samples with "width" and "height" in pixels.
            batch_size: samples in a batch. A batch that is not full at the end is dropped.
        """
        self.dataset = dataset
        self.batch_size = batch_size
        self._buckets: list[list[dict[str, Any]]] = [[], []]

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        for sample in self.dataset:
            bucket = self._buckets[bucket_of(sample)]
            bucket.append(sample)
            if len(bucket) == self.batch_size:
                batch = bucket[:]
                bucket.clear()
                yield batch
