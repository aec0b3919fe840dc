"""Random numbers of a sample as a function of its place in the stream, not of what was loaded before it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import get_worker_info


def seed_cpu_generators(*key: int) -> None:
    """Seeds the generators of Python, NumPy and PyTorch's CPU by a key of non-negative integers.

    Those of GPUs, which no augmentation uses, stay as they are.
    """
    for_python, for_numpy, for_torch = np.random.SeedSequence(key).generate_state(3, np.uint64).tolist()
    random.seed(for_python)
    np.random.seed(for_numpy % 2**32)
    torch.default_generator.manual_seed(for_torch)


@contextmanager
def seeded_by(*key: int) -> Iterator[None]:
    """A block whose random numbers depend on the key alone.

    In the main process the generators are afterwards as they were before: the model draws from them too.
    """
    if get_worker_info() is not None:
        seed_cpu_generators(*key)
        yield
        return
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_cpu_generators(*key)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
