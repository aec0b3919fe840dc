"""From a trained model to a quantized one, step by step."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from ..modules import QuantLayer
from ..quantizers.quantizer import Quantizer
from ..spec import Role
from ..transform import convert, prepare, quantizers
from ..transform.report import Report
from ..transform.ties import tie_ranges
from .batches import Run, call_model, first_batch
from .calibrate import describe_anew, set_ranges
from .collect import collect
from .histograms import coarse_histogram
from .input_range import InputRange
from .ranges import RangeRow
from .recipe import PTQRecipe
from .result import PTQResult
from .statistics import TensorStatistics
from .tuning import Lesson, tune
from .weight_ranges import folded_factor
from .weight_steps import after_ranges, before_statistics, gather_statistics

logger = logging.getLogger(__name__)

Prepare = Callable[[nn.Module, Any], Report]


def post_training_quantize(
    model: nn.Module,
    recipe: PTQRecipe,
    batches: Iterable[Any],
    *,
    run: Run = call_model,
    prepare_model: Prepare = prepare,
    convert_model: bool = True,
    input_range: InputRange | None = None,
    lesson: Lesson | None = None,
    tuning_batches: Iterable[Any] | None = None,
) -> PTQResult:
    """Quantize a trained model, in place, with data that need no labels.

    Statistics take constant memory, whatever the number of batches; they are gone over once for the ranges, and once
    more for each step of the recipe that needs them.

    Args:
        model: in floating point; it is put into evaluation mode.
        recipe: what is done, and how.
        batches: what ``run`` takes; can be gone over several times. The model stays in floating point if the first
            cannot be had.
        run: of model and batch, runs the model.
        prepare_model: of model and :class:`QuantConfig`, as :func:`prepare`, for models with layers of their own.
        convert_model: make weights integers at the end; otherwise the model stays as it would be for training, ready
            for checkpoints.
        input_range: what is known of the batches whatever the data, such as that pixels are bytes; it is the range of
            tensors that follow from inputs alone. None: all ranges come from data.
        lesson: for the recipe's tuning, as in :func:`tune`.
        tuning_batches: for it, in place of ``batches``: the same with several images each take less time.

    Returns:
        what was done.

    Raises:
        ValueError: no batches, a choice that matches no layer, or settings that do not suit a layer; also data that
            cannot be read, or lie beyond ``input_range``.
        FloatingPointError: activations that are NaN or infinite, with the layer's name.
    """
    example, look = first_batch(batches), torch.no_grad()(run)
    model.eval()
    result = PTQResult(recipe, Report(()))
    with _step(result, "prepare"):
        result.layers = prepare_model(model, recipe.quant_config())
    if recipe.steps.ties:
        with _step(result, "tie") as facts:
            facts["groups"] = _tied(model, lambda: look(model, example))
    step = partial(_step, result)
    before_statistics(model, recipe, example, look, step)
    statistics: dict[str, TensorStatistics] = {}
    rows: list[RangeRow] = []
    if any(quantizer.role is Role.ACTIVATION for _, quantizer in quantizers(model)):
        statistics = gather_statistics(model, recipe, batches, look, step, input_range)
        with _step(result, "ranges"):
            rows = set_ranges(model, statistics, recipe.observers())
            _leave_in_float(model, result.warnings)
    _take_weight_ranges(model)
    reference = after_ranges(model, recipe, batches, run, step)
    if reference is not None and recipe.tuning.iterations:
        with step("tune") as facts:
            some = batches if tuning_batches is None else tuning_batches
            facts |= tune(model, some, run, reference=reference, settings=recipe.tuning, lesson=lesson)
    if reference is not None:  # some ranges may have been learned
        rows = describe_anew(model, statistics, rows)
    _describe(statistics, rows, result)
    for _, quantizer in quantizers(model):
        quantizer.set_frozen(True)
    if convert_model:
        with _step(result, "convert"):
            result.layers = convert(model)
    return result


def _describe(statistics: dict[str, TensorStatistics], rows: list[RangeRow], result: PTQResult) -> None:
    result.ranges = [dict(row) for row in rows]
    pairs = zip(rows, statistics.values(), strict=True)
    found = (coarse_histogram(row["name"], own, row["bottom"], row["top"]) for row, own in pairs)
    result.histograms = [dict(one) for one in found if one is not None]


def _tied(model: nn.Module, run_example: Callable[[], object]) -> list[list[str]]:
    try:
        return [list(group) for group in tie_ranges(model, run_example)]
    except FloatingPointError:
        collect(model, [None], lambda *_: run_example())  # names the layer at which it began
        raise


@contextmanager
def _step(result: PTQResult, name: str) -> Iterator[dict[str, Any]]:
    """Time a step, and say so; what is put into the dict given goes into the result."""
    logger.info("Post-training quantization: %s ...", name)
    facts: dict[str, Any] = {}
    begin = time.perf_counter()
    yield facts
    seconds = time.perf_counter() - begin
    result.steps.append({"step": name, "seconds": seconds, **facts})
    logger.info("Post-training quantization: %s took %.1f s", name, seconds)


def _leave_in_float(model: nn.Module, warnings: list[str]) -> None:
    """Switch off the quantizers of layers that no data reached: no prediction needs them."""
    names = [
        name
        for name, module in model.named_modules()
        for quantizer in [module._modules.get("input_quantizer")]
        if isinstance(quantizer, Quantizer) and quantizer.enabled and not quantizer.initialized
    ]
    for name in names:
        for child in model.get_submodule(name).children():
            if isinstance(child, Quantizer):
                child.set_enabled(False)
    if names:
        warnings.append(f"No data reached these layers, which stay in floating point: {', '.join(names)}")


@torch.no_grad()
def _take_weight_ranges(model: nn.Module) -> None:
    """Ranges of weights come from their first use; have them now, also in layers that no batch reached."""
    for layer in model.modules():
        if isinstance(layer, QuantLayer) and layer.weight_quantizer is not None:
            layer.weight_quantizer.reset_range()
            layer.quantized_weight(folded_factor(layer))
