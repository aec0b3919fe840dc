"""The random number generators of this process as plain tensors and numbers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def get_rng_state() -> dict[str, Any]:
    """States of the generators of Python, NumPy, PyTorch and the current GPU.

    Returns:
        Tensors, numbers and None only, so that ``torch.load(weights_only=True)`` reads them back.
    """
    version, words, gauss = random.getstate()
    _, numpy_words, position, has_gauss, cached = np.random.get_state(legacy=True)
    state = {
        "python": {"version": version, "words": torch.tensor(words, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "words": torch.from_numpy(numpy_words.astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Puts the generators back to what :func:`get_rng_state` returned."""
    python, numpy_state = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    words = numpy_state["words"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, numpy_state["position"], numpy_state["has_gauss"], numpy_state["cached"]))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


@contextmanager
def preserve_rng() -> Iterator[None]:
    """Whatever the block draws, the generators are afterwards as they were before."""
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
