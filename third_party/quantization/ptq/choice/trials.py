"""What single changes of a quantized model do to its loss."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ...quantizers.quantizer import Quantizer
from ...transform.access import quantizers
from .replay import PrefixReplay

logger = logging.getLogger(__name__)

Loss = Callable[[nn.Module, Any], float]


@dataclass(frozen=True)
class Trial:
    """A change of a model to be measured.

    Attributes:
        name: of the trial.
        layers: the modules whose computation it changes, all of them.
        change: a context in which the model is changed.
    """

    name: str
    layers: tuple[nn.Module, ...]
    change: Callable[[], AbstractContextManager[Any]]


@dataclass
class TrialResults:
    """Mean losses over the batches that were measured.

    Attributes:
        base: without a change.
        losses: of each trial.
        batches: how many were measured.
        seconds: how long it took.
    """

    base: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    batches: int = 0
    seconds: float = 0.0

    def change(self, name: str) -> float:
        """By how much a trial raises the loss."""
        return self.losses[name] - self.base


@torch.no_grad()
def measure_trials(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Loss,
    trials: Sequence[Trial],
    *,
    budget: int = 2**30,
    max_seconds: float = float("inf"),
) -> TrialResults:
    """Measure the loss of a model as it is, and with each of the changes alone.

    Each batch is run once as it is; for each trial only what comes after the first layer that it changes runs again.

    Args:
        model: in evaluation mode.
        batches: with what the loss needs.
        loss: of a model on a batch.
        trials: the changes.
        budget: bytes for outputs that are kept (those of one batch at a time).
        max_seconds: no further batch is begun when it would probably end later; the first one always is.

    Raises:
        ValueError: no batch, or a loss that is not finite without any change.
    """
    results = TrialResults(losses=dict.fromkeys((trial.name for trial in trials), 0.0))
    begin = time.perf_counter()
    with PrefixReplay(model, budget) as replay:
        for batch in batches:
            started = time.perf_counter()
            if results.batches and (started - begin) * (1 + 1 / results.batches) > max_seconds:
                break
            _measure_batch(results, replay, model, batch, loss, trials)
            logger.info("Trials: batch %d, %.1f s", results.batches, time.perf_counter() - started)
    if results.batches == 0:
        raise ValueError("there is no batch to measure the loss on")
    results.base /= results.batches
    results.losses = {name: total / results.batches for name, total in results.losses.items()}
    results.seconds = time.perf_counter() - begin
    return results


def _measure_batch(
    results: TrialResults, replay: PrefixReplay, model: nn.Module, batch: Any, loss: Loss, trials: Sequence[Trial]
) -> None:
    base = float(replay.record(lambda: loss(model, batch)))
    if base != base or abs(base) == float("inf"):
        raise ValueError(f"the loss of the model on batch {results.batches} is {base}")
    results.base += base
    results.batches += 1
    for trial in trials:
        position = replay.position(trial.layers)
        if position is None:  # a layer that the model does not call on this batch
            results.losses[trial.name] += base
            continue
        with trial.change():
            results.losses[trial.name] += float(replay.run_from(position, lambda: loss(model, batch)))


def readers(model: nn.Module, wanted: Iterable[Quantizer]) -> tuple[nn.Module, ...]:
    """The layers that use any of these quantizers: one that is shared has several."""
    ids = {id(quantizer) for quantizer in wanted}
    return tuple(
        module
        for module in model.modules()
        if not isinstance(module, Quantizer) and any(id(child) in ids for child in module._modules.values())
    )


def quantized_layers(model: nn.Module) -> dict[str, tuple[Quantizer, ...]]:
    """The layers that have quantizers, by name, with those; each layer once."""
    found = {}
    for name, module in model.named_modules():
        own = tuple(child for child in module._modules.values() if isinstance(child, Quantizer))
        if own:
            found[name] = own
    return found


def layers_with_quantizers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that have quantizers, by name; each layer once."""
    return {name: model.get_submodule(name) for name in quantized_layers(model)}


@contextmanager
def enabled_only(model: nn.Module, wanted: Iterable[Quantizer]) -> Iterator[None]:
    """Within the block, of all quantizers that are switched on only these stay on."""
    ids = {id(quantizer) for quantizer in wanted}
    off = [q for _, q in quantizers(model) if q.enabled and id(q) not in ids]
    for quantizer in off:
        quantizer.set_enabled(False)
    try:
        yield
    finally:
        for quantizer in off:
            quantizer.set_enabled(True)


@contextmanager
def switched(wanted: Sequence[Quantizer], on: bool) -> Iterator[None]:
    """Within the block these quantizers are on, or off."""
    before = [quantizer.enabled for quantizer in wanted]
    for quantizer in wanted:
        quantizer.set_enabled(on)
    try:
        yield
    finally:
        for quantizer, enabled in zip(wanted, before, strict=True):
            quantizer.set_enabled(enabled)
