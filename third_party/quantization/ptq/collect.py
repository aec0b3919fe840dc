"""One pass over the calibration data that gathers what every observer needs."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from torch import nn

from ..quantizers.affine import AffineQuantizer
from ..quantizers.quantizer import Quantizer
from ..spec.roles import Role
from ..transform.flow import TensorFlow, float_evaluation
from .batches import Run, call_model
from .input_range import InputRange
from .statistics import TensorStatistics
from .watch import QuantizerWatch


def collect(
    model: nn.Module,
    batches: Iterable[Any],
    run: Run = call_model,
    *,
    quantize_weights: bool = False,
    only: Collection[str] | None = None,
    input_range: InputRange | None = None,
) -> dict[str, TensorStatistics]:
    """Statistics of what each quantizer of activations reads, in one pass and constant memory.

    The model runs in floating point and in evaluation mode, and is left as it was. A quantizer that is used several
    times has one set of statistics. A tensor that it reads twice counts once, and so does what a concatenation has
    joined for it already. The first batch also tells which activation functions made the tensors, and which of them are
    inputs whose range is known.

    Args:
        model: prepared.
        batches: what ``run`` takes.
        run: of model and batch, runs the model; by default a tuple is several arguments.
        quantize_weights: let weights be quantized meanwhile.
        only: names of the quantizers that are wanted; None for all.
        input_range: what is known of the batches; None for nothing.

    Returns:
        statistics by the quantizers' qualified names, the first one of a shared quantizer; those that no tensor
        reached, that are switched off or whose range is known without data are left out.

    Raises:
        ValueError: a model without quantizers of activations, no batches, one that cannot be read, or values of the
            first beyond ``input_range``.
        FloatingPointError: a NaN or infinite activation; the layer and the number of the batch, from 1, are named.
    """
    watched = {q: name for q, name in _watched(model).items() if only is None or name in only}
    numbered = enumerate(_readable(batches), 1)
    with float_evaluation(model, weights=not quantize_weights):
        with TensorFlow(model) as flow, QuantizerWatch(model, watched) as watch:
            for _, batch in numbered:
                watch.run_first(run, batch, input_range)
                break
            else:
                raise ValueError("the calibration set is empty: there is no batch to calibrate on")
        lowest = flow.lowest()
        with watch:
            for number, batch in numbered:
                watch.run(run, batch, number)
    for quantizer, statistics in watch.statistics.items():
        statistics.lower_bound = lowest.get(quantizer)
    return {watched[quantizer]: found for quantizer, found in watch.statistics.items() if found.count}


def _watched(model: nn.Module) -> dict[Quantizer, str]:
    found = {
        module: name
        for name, module in model.named_modules()
        if isinstance(module, Quantizer) and module.role is Role.ACTIVATION
    }
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no quantizers of activations to calibrate: prepare it with a QuantConfig "
            "whose activation is not None"
        )
    return {quantizer: name for quantizer, name in found.items() if quantizer.enabled and not _known_already(quantizer)}


def _known_already(quantizer: Quantizer) -> bool:
    return isinstance(quantizer, AffineQuantizer) and quantizer.fixed_range and quantizer.initialized


def _readable(batches: Iterable[Any]) -> Iterator[Any]:
    iterator, number = iter(batches), 0
    while True:
        number += 1
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            raise ValueError(f"calibration batch {number} cannot be read: {error}") from error
        yield batch
