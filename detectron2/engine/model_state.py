"""Training state of a model outside its parameters, and a way to run it without changing any of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from detectron2.utils.events import EventStorage

from .rng import preserve_rng


def unwrap(model: nn.Module) -> nn.Module:
    """The model itself, without a data-parallel wrapper."""
    return model.module if isinstance(model, (DistributedDataParallel, DataParallel)) else model


def collect_training_state(model: nn.Module) -> dict[str, dict[str, float]]:
    """States of the modules that keep numbers outside the state dict, by qualified name.

    Such a module (a loss with a running normalizer, say) has ``training_state()`` and ``load_training_state(state)``.
    """
    return {
        name: module.training_state() for name, module in unwrap(model).named_modules() if _has_training_state(module)
    }


def load_training_state(model: nn.Module, states: dict[str, dict[str, float]]) -> None:
    """Gives the modules named in ``states`` their state back; modules that are gone are left out."""
    for name, module in unwrap(model).named_modules():
        if name in states and _has_training_state(module):
            module.load_training_state(states[name])


def _has_training_state(module: nn.Module) -> bool:
    return hasattr(module, "training_state") and hasattr(module, "load_training_state")


@contextmanager
def no_trace(model: nn.Module) -> Iterator[None]:
    """Runs of the model inside the block leave no trace.

    Gradients are off; buffers (running statistics), training states, random generators and the metrics of the
    training are afterwards what they were. The mode of the modules is left alone.
    """
    buffers: list[tuple[torch.Tensor, torch.Tensor]] = [(b, b.detach().clone()) for b in unwrap(model).buffers()]
    states: dict[str, Any] = collect_training_state(model)
    # Iteration 1: images are drawn at multiples of a period, which 0 would be.
    with preserve_rng(), torch.no_grad(), EventStorage(start_iter=1):
        try:
            yield
        finally:
            for buffer, value in buffers:
                buffer.copy_(value)
            load_training_state(model, states)
