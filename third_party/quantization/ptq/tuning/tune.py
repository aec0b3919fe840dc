"""Weights, biases and ranges tuned together, so that a model's results are what they were in floating point."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from ...modules import QuantLayer
from ..batches import Run, call_model, first_batch
from ..calibrate import check_calibrated
from .comparison import Comparison, Distance, Lesson
from .last_layers import last_layers
from .settings import TuningSettings
from .tunables import Tunables

logger = logging.getLogger(__name__)

_MEASURED = 8
_LOGS = 10
_TINY = 1e-12


class TuningRow(TypedDict):
    """What tuning did.

    Attributes:
        layers: whose outputs were compared.
        iterations: that were taken.
        error, lesson: before and after, means over some batches; the lesson's are empty without one.
        kept: whether the tuned model is better by both together; otherwise it is as it was.
    """

    layers: list[str]
    iterations: int
    error: list[float]
    lesson: list[float]
    kept: bool


def tune(
    model: nn.Module,
    batches: Iterable[Any],
    run: Run = call_model,
    *,
    reference: nn.Module,
    settings: TuningSettings,
    lesson: Lesson | None = None,
) -> TuningRow:
    """Tune all that quantization decides, all layers at once, without labels.

    After QFT (arXiv 2212.02634): weights, by straight-through gradients, biases and the steps of activations learn
    together to give what the float model gives, on few images. The layers that results come from
    (:func:`last_layers`) are compared by squared error, all values alike; a lesson can say which of them matter, as
    a detection loss against the float model's own detections does.

    Args:
        model: prepared, ranges of weights and activations set; changed in place, and in evaluation mode afterwards.
        batches: what ``run`` takes; can be gone over several times.
        run: of model and batch, runs the model.
        reference: the model in floating point with modules of the same names, as :func:`float_copy` makes it.
        settings: how.
        lesson: a loss of the quantized model, the batch, and what ``run`` gave for it in floating point. It runs the
            model, in evaluation statistics.

    Returns:
        what was done; a model that got no better is as it was.

    Raises:
        ValueError: no batch, activations without a range, nothing to tune or nothing to compare.
    """
    example = first_batch(batches)
    check_calibrated(model)
    model.eval()
    reference.eval()
    tunables = Tunables(model, settings)
    if not tunables.groups:
        raise ValueError("tuning finds nothing to tune: no layer is quantized, or all rates are 0")
    with tunables.open():
        names = last_layers(model, lambda: run(model, example))
        each = -(-settings.images // max(_images(model, example, run), 1))
        with closing(Comparison(model, reference, names, run, lesson)) as compare:
            try:
                before = _mean(compare, batches)
                done = _learn(compare, before, batches, each, tunables, settings)
                after = _mean(compare, batches)
                better = bool(_total(after, before, settings) < _total(before, before, settings))
            except BaseException:
                tunables.restore()
                raise
    kept = better and done == settings.iterations
    if not kept:
        tunables.restore()
        logger.warning("Tuning made the model no better: it stays as it was before")
    pairs = [(float(b), float(a)) for b, a in zip(before, after, strict=True) if b is not None and a is not None]
    error, taught = list(pairs[0]), [value for pair in pairs[1:] for value in pair]
    return TuningRow(layers=names, iterations=done, error=error, lesson=taught, kept=kept)


def _learn(
    compare: Comparison,
    start: Distance,
    batches: Iterable[Any],
    each: int,
    tunables: Tunables,
    settings: TuningSettings,
) -> int:
    """Take the steps; gives how many were taken before a loss was not finite, or all."""
    optimizer = torch.optim.Adam(tunables.groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, settings.factor)
    stream = _endless(batches)
    seen: list[Distance] = []
    for iteration in range(settings.iterations):
        optimizer.zero_grad()
        for batch in islice(stream, each):
            with torch.enable_grad():
                distance = compare(batch)
                loss = _total(distance, start, settings) / each
            if not torch.isfinite(loss):
                logger.warning("Tuning stops at step %d: the loss is %s", iteration, float(loss.detach()))
                return iteration
            loss.backward()
            seen.append(distance.detached())
        optimizer.step()
        schedule.step()
        if (iteration + 1) % max(settings.iterations // _LOGS, 1) == 0:
            mean = _mean_of(seen)
            taught = "" if mean.lesson is None else f", loss {float(mean.lesson):.4g}"
            shown = (iteration + 1, settings.iterations, float(mean.error), taught)
            logger.info("Tuning: step %d of %d, error %.4g%s", *shown)
            seen = []
    return settings.iterations


def _total(distance: Distance, unit: Distance, settings: TuningSettings) -> Tensor:
    """Error and lesson, each over what it was; nothing of one that was 0."""
    total = _share(distance.error, unit.error)
    if distance.lesson is None or unit.lesson is None:
        return total
    return total + settings.lesson * _share(distance.lesson, unit.lesson)


def _share(value: Tensor, unit: Tensor) -> Tensor:
    size = float(unit.abs())
    return value / size if size > _TINY else 0 * value


@torch.no_grad()
def _mean(compare: Comparison, batches: Iterable[Any]) -> Distance:
    return _mean_of([compare(batch) for batch in islice(batches, _MEASURED)])


def _mean_of(distances: Sequence[Distance]) -> Distance:
    lessons = [distance.lesson for distance in distances if distance.lesson is not None]
    error = torch.stack([distance.error for distance in distances]).mean()
    return Distance(error, torch.stack(lessons).mean() if lessons else None)


def _images(model: nn.Module, batch: Any, run: Run) -> int:
    """Rows of what the first quantized layer gets."""
    rows: list[int] = []
    layers = [layer for layer in model.modules() if isinstance(layer, QuantLayer)]
    handles = [layer.register_forward_pre_hook(lambda _m, args: rows.append(len(args[0]))) for layer in layers]
    try:
        with torch.no_grad():
            run(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return rows[0] if rows else 0


def _endless(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from batches
