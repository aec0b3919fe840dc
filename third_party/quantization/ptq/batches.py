"""Calibration data that can be gone over several times."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

Run = Callable[[nn.Module, Any], object]


def call_model(model: nn.Module, batch: Any) -> object:
    """Run a model on a batch: a tuple is several arguments, anything else is one."""
    return model(*batch) if isinstance(batch, tuple) else model(batch)


def first_batch(batches: Iterable[Any]) -> Any:
    """The first batch.

    Raises:
        ValueError: there is none, or the batches can be gone over only once.
    """
    iterator = iter(batches)
    if iterator is batches:
        raise ValueError("batches must be iterable several times, such as a list or a data loader; got an iterator")
    for batch in iterator:
        return batch
    raise ValueError("the calibration set is empty: there is no batch to calibrate on")
