"""Weights, biases and ranges tuned together, so that a model's results are what they were in floating point."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from ..batches import Run, call_model, first_batch
from ..calibrate import check_calibrated
from .comparison import Comparison, Distance, Lesson
from .last_layers import Flow, flow_of
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
        error, lesson: before and after, means over the first batches; the lesson's are empty without one, and what is
            not finite is left out.
        kept: whether the tuned model is better there by both together; otherwise it is as it was.
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
    together to give what the float model gives, on few images. The layers that results come from (:func:`flow_of`)
    are compared by squared error, all values alike; a lesson can say which of them matter, as a detection loss
    against the float model's own detections does.

    Args:
        model: prepared, in float32 or bfloat16, ranges of weights and activations set; changed in place, and in
            evaluation mode afterwards.
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
        FloatingPointError: the error or the lesson's loss is NaN or infinite before anything is tuned.
    """
    example = first_batch(batches)
    check_calibrated(model)
    model.eval()
    reference.eval()
    tunables = Tunables(model, settings)
    with tunables.open():
        flow = flow_of(model, lambda: run(model, example))
        apart = lesson is not None and not _alike(
            flow, flow_of(model, lambda: _teach(lesson, model, reference, example, run))
        )
        with closing(Comparison(model, reference, flow.last, run, lesson, apart=apart)) as compare:
            try:
                before = _mean(compare, batches)
                _check_finite(before)
                done = _learn(compare, before, batches, tunables, settings)
                after = _mean(compare, batches)
            except BaseException:
                tunables.restore()
                raise
    kept = done == settings.iterations and bool(_total(after, before, settings) < _total(before, before, settings))
    if not kept:
        tunables.restore()
        logger.warning("Tuning made the model no better: it stays as it was before")
    return TuningRow(
        layers=[name for name in flow.last if name in compare.compared],
        iterations=done,
        error=_finite(before.error, after.error),
        lesson=_finite(before.lesson, after.lesson),
        kept=kept,
    )


def _teach(lesson: Lesson, model: nn.Module, reference: nn.Module, batch: Any, run: Run) -> Tensor:
    with torch.no_grad():
        found = run(reference, batch)
    return lesson(model, batch, found)


def _alike(plain: Flow, taught: Flow) -> bool:
    """Whether a lesson's run leads to the last layers in the way of a plain run: it may cut branches off."""
    return all(plain.before[name] == taught.before.get(name) for name in plain.last if name in taught.before)


def _learn(
    compare: Comparison,
    start: Distance,
    batches: Iterable[Any],
    tunables: Tunables,
    settings: TuningSettings,
) -> int:
    """Take the steps; gives how many were taken before a loss was not finite, or all."""
    optimizer = torch.optim.Adam(tunables.groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, settings.factor)
    stream = _endless(batches)
    each = -(-settings.images // max(compare.images, 1))
    seen: list[Distance] = []
    for iteration in range(settings.iterations):
        optimizer.zero_grad()
        for batch in islice(stream, each):
            with torch.enable_grad():
                distance = compare(batch)
                loss = _total(distance, start, settings) / each
            if not torch.isfinite(loss):
                logger.warning(
                    "Tuning stops in front of step %d: the loss is not finite. Use lower rates", iteration + 1
                )
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


def _check_finite(start: Distance) -> None:
    for what, value in (("error of the last layers", start.error), ("lesson's loss", start.lesson)):
        if value is not None and not torch.isfinite(value):
            raise FloatingPointError(f"tuning cannot begin: the {what} is {float(value)}")


def _finite(*values: Tensor | None) -> list[float]:
    return [float(value) for value in values if value is not None and torch.isfinite(value)]


def _endless(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from batches
