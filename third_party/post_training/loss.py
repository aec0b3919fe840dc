"""The detection loss of a model in evaluation statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from detectron2.engine.rng import preserve_rng
from detectron2.utils.events import EventStorage

from ..quantization.transform.layers import is_quantized

_ORDINARY = "torch.nn.modules."


class DetectionLoss:
    """The sum of a detector's losses on a batch, comparable between models.

    Batch norms, dropout and quantizers work as in evaluation; whatever the architecture draws at random, such as the
    regions that are rated, is drawn from the same seed for every batch.

    Args:
        seed: of these draws.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: list[dict[str, Any]]) -> float:
        """The loss.

        Args:
            model: a detector of the framework.
            batch: inputs with "instances".
        """
        losses = self.losses(model, batch)
        return float(sum(loss.double() for loss in losses.values()))

    @torch.no_grad()
    def losses(self, model: nn.Module, batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Each loss by name."""
        return detection_losses(model, batch, self.seed)


def detection_losses(model: nn.Module, batch: list[dict[str, Any]], seed: int = 0) -> dict[str, torch.Tensor]:
    """Each loss of a detector by name, as :class:`DetectionLoss` adds them up, with gradients."""
    keeper: Any = model
    kept = keeper.training_state() if hasattr(keeper, "training_state") else None
    try:
        with loss_mode(model), preserve_rng(), EventStorage():
            torch.manual_seed(seed)
            given: dict[str, torch.Tensor] = model(batch)
    finally:
        if kept is not None:
            # A running average of the number of positives would tie a loss to the batches before.
            keeper.load_training_state(kept)
    return given


@contextmanager
def loss_mode(model: nn.Module) -> Iterator[None]:
    """Within the block a model in evaluation mode returns losses: only its own switches are in training mode.

    These are the modules that hold others and are none of PyTorch's: architecture, proposal generator, heads. Layers
    stay as they are, norms, dropout, containers of quantizers and the rest.
    """
    before = {module: module.training for module in model.modules()}
    quantized = {id(inner) for layer in model.modules() if is_quantized(layer) for inner in layer.modules()}
    model.eval()
    for module in before:
        module.training = module is model or (id(module) not in quantized and _has_a_switch(module))
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


def _has_a_switch(module: nn.Module) -> bool:
    ordinary = type(module).__module__.startswith(_ORDINARY) or isinstance(module, (nn.Conv2d, nn.Linear))
    return not ordinary and next(module.children(), None) is not None
