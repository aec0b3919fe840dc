"""Put tensors back to what they were."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def restored(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Whatever happens to the tensors' values within the context is undone at its end, also after an exception.

    The tensors stay the same objects, so that optimizers and parallel wrappers keep their hold on them.
    """
    kept = [(tensor, tensor.detach().clone()) for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in kept:
                tensor.copy_(value)
