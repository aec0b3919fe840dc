"""Going on when a GPU runs out of memory."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

__all__ = ["retry_if_cuda_oom"]

_Result = TypeVar("_Result")


@contextmanager
def _ignore_torch_cuda_oom() -> Iterator[None]:
    """Swallow the error of a full GPU, and no other."""
    try:
        yield
    except torch.OutOfMemoryError:
        pass


def _to_cpu(value: Any) -> Any:
    """A copy on the CPU of anything on a GPU that can move (tensors, boxes, instances, ...)."""
    device = getattr(value, "device", None)
    on_gpu = isinstance(device, torch.device) and device.type == "cuda"
    return value.to(device="cpu") if on_gpu and hasattr(value, "to") else value


def retry_if_cuda_oom(func: Callable[..., _Result]) -> Callable[..., _Result]:
    """Make a function that survives a full GPU: it is tried again after emptying the cache, then on the CPU.

    Only arguments that are themselves on a GPU are moved for the third attempt, not the contents of lists or
    dicts; the function must therefore create its own tensors on its inputs' device, have no side effect that a
    second call would repeat, and its result may arrive on the CPU.

    Args:
        func: any function without state.

    Returns:
        A function with the same signature.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> _Result:
        with _ignore_torch_cuda_oom():
            return func(*args, **kwargs)
        torch.cuda.empty_cache()
        with _ignore_torch_cuda_oom():
            return func(*args, **kwargs)
        name = getattr(func, "__qualname__", repr(func))
        logging.getLogger(__name__).info("GPU memory is full: running %s on the CPU instead", name)
        return func(*(_to_cpu(a) for a in args), **{k: _to_cpu(v) for k, v in kwargs.items()})

    return wrapped
