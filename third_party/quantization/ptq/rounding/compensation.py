"""Layer by layer, weights rounded so that each layer gives what it gave in floating point."""

import logging
from collections.abc import Iterable, Iterator, Sized
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...modules import QuantLayer
from ..batches import Run, call_model, first_batch
from ..calibrate import check_calibrated
from ..float_copy import float_copy
from ..weight_ranges import folded_factor
from .captured import capture
from .input_moments import InputMoments
from .layer_fit import CompensationRow, by_group, can_fit, fit, seen_by
from .paused_runs import PausedRun, held_bytes, paused_runs

logger = logging.getLogger(__name__)

_THREADS = 1024
_POSITIONS, _POSITIONS_EACH = 16384, 8


@torch.no_grad()
def compensate(
    model: nn.Module,
    batches: Iterable[Any],
    run: Run = call_model,
    *,
    reference: nn.Module | None = None,
    biases: bool = True,
    damping: float = 0.01,
    memory: int = 4 * 2**30,
) -> list[CompensationRow]:
    """Round weights by :func:`gptq`, layer by layer in the order in which the model runs them.

    Each layer's levels are fitted on what the quantized layers before it really pass on, to what the layer gives in
    floating point. There is nothing to learn: all batches run at once, each stopping in front of every layer until
    that is rounded, so that the data take one run, quantized and in floating point, whatever the number of layers.
    Layers that run several times take runs of their own. Afterwards weights *are* at the levels, as after
    :func:`reconstruct`.

    Args:
        model: prepared, ranges of weights and activations set; changed in place, and in evaluation mode afterwards.
        batches: what ``run`` takes; can be gone over several times.
        run: of model and batch, runs the model.
        reference: the model in floating point with modules of the same names; None: the model itself, as it is now
            with quantizers switched off.
        biases: put the mean error that is left into the biases, and fit the rest. It replaces bias correction, which
            looks at weights alone: these here make up for what clipped activations lose, too.
        damping: as in :func:`gptq`.
        memory: bytes that runs may hold that wait in front of a layer; fewer batches are used where all do not fit.

    Returns:
        a row for each layer that was tried. Left as they are: layers that are neither convolutions nor linear, whose
        levels are not equally spaced, or that have more than 8192 weights an output.

    Raises:
        ValueError: no batch, or activations without a range.
        FloatingPointError: activations that are NaN or infinite, with the layer's name.
    """
    example = first_batch(batches)
    check_calibrated(model)
    model.eval()
    teacher = float_copy(model) if reference is None else reference.eval()
    calls = _calls(model, example, run)
    some = _as_many_as_fit(batches, held_bytes(model, lambda: run(model, example)), memory)
    order = {name: number for number, name in enumerate(name for name in calls if can_fit(model.get_submodule(name)))}
    rows: list[CompensationRow] = []
    with (
        paused_runs(model, [partial(run, model, batch) for batch in some], order) as quantized,
        paused_runs(teacher, [partial(run, teacher, batch) for batch in some], order) as exact,
    ):
        pairs = [(_Follower(q, order), _Follower(f, order)) for q, f in zip(quantized, exact, strict=True)]
        for name in order:
            layer, twin = model.get_submodule(name), teacher.get_submodule(name)
            assert isinstance(layer, QuantLayer) and isinstance(twin, QuantLayer)
            weight = by_group(layer, layer.prepared_weight(folded_factor(layer)))
            positions = max(_POSITIONS, _POSITIONS_EACH * weight.shape[2])
            moments = InputMoments(weight, positions // (len(some) * calls[name]) + 1)
            if calls[name] > 1:  # its later inputs come from later layers
                images = [follower.images for follower, _ in pairs]
                inputs = _captured(model, teacher, name, calls[name], zip(some, images, strict=True), run)
            else:
                inputs = _waiting(pairs, name)
            for one in inputs:
                moments.add(seen_by(layer, one.quantized), seen_by(twin, one.exact))
            if not moments.count:
                continue
            rows.append(fit(name, layer, moments, biases, damping))
            shown = (len(rows), len(order), name, rows[-1]["before"], rows[-1]["after"])
            logger.info("Rounding %d of %d, %s: error %.4f -> %.4f", *shown)
    return rows


class _Follower:
    """A run that is taken from layer to layer, in an order that all runs share."""

    def __init__(self, run: PausedRun, order: dict[str, int]) -> None:
        self._run, self._order = run, order
        self._stop = run.advance()
        self.images = 0 if self._stop is None else len(self._stop.args[0])

    def at(self, name: str) -> Tensor | None:
        """The input of a layer, the run waiting in front of it; None if the run does not come by."""
        while self._stop is not None and self._order[self._stop.name] < self._order[name]:
            self._stop = self._run.advance()
        return self._stop.args[0] if self._stop is not None and self._stop.name == name else None


class _Inputs(NamedTuple):
    """A layer's input as the quantized model has it, and as it should be."""

    quantized: Tensor
    exact: Tensor


def _pair(quantized: Tensor, exact: Tensor, images: int) -> _Inputs:
    """Both inputs, if they have a row for each image.

    Rows that the model chose itself, as proposals are, are others in floating point. What should be is then the
    quantized model's own input, before the layer rounds it.
    """
    same = quantized.shape == exact.shape and len(quantized) == images
    return _Inputs(quantized, exact if same else quantized)


def _waiting(pairs: list[tuple[_Follower, _Follower]], name: str) -> Iterator[_Inputs]:
    """Inputs of a layer of all runs that come by."""
    for quantized, exact in pairs:
        q, f = quantized.at(name), exact.at(name)
        if q is not None and f is not None:
            yield _pair(q, f, quantized.images)


def _captured(
    model: nn.Module, teacher: nn.Module, name: str, calls: int, batches: Iterable[tuple[Any, int]], run: Run
) -> Iterator[_Inputs]:
    """Inputs of all calls of a layer, from runs of their own; batches come with their numbers of images."""
    for batch, images in batches:
        quantized = capture(model, model.get_submodule(name), [batch], run, calls, outputs=False)
        exact = capture(teacher, teacher.get_submodule(name), [batch], run, calls, outputs=False)
        yield from (_pair(q.args[0], f.args[0], images) for q, f in zip(quantized, exact, strict=True))


def _as_many_as_fit(batches: Iterable[Any], bytes_each: int, memory: int) -> list[Any]:
    """Batches evenly spread over all, as many as can wait at once, each in two runs."""
    count = len(batches) if isinstance(batches, Sized) else sum(1 for _ in batches)
    most = min(memory // (2 * max(bytes_each, 1)), _THREADS // (2 * torch.get_num_threads()))
    wanted = max(1, min(count, most))
    if wanted < count:
        logger.warning("Rounding uses %d of %d batches, as many as fit into %d MiB", wanted, count, memory >> 20)
    chosen = {number * count // wanted for number in range(wanted)}
    return [batch for number, batch in enumerate(batches) if number in chosen]


def _calls(model: nn.Module, example: Any, run: Run) -> dict[str, int]:
    """How often each quantized layer runs, in the order of their first runs."""
    calls: dict[str, int] = {}

    def note(name: str) -> None:
        calls[name] = calls.get(name, 0) + 1

    handles = [
        layer.register_forward_pre_hook(lambda _m, _a, name=name: note(name))
        for name, layer in model.named_modules()
        if isinstance(layer, QuantLayer)
    ]
    try:
        run(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return calls
