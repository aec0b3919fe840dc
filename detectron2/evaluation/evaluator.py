"""The interface of evaluators, and the loop that runs a model over a data set for them."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from detectron2.evaluation.inference_progress import InferenceProgress
from detectron2.utils.comm import get_world_size, is_main_process
from detectron2.utils.logger import log_every_n_seconds

__all__ = [
    "DatasetEvaluator",
    "DatasetEvaluators",
    "get_world_size",
    "inference_context",
    "inference_on_dataset",
    "is_main_process",
    "log_every_n_seconds",
]

_CALLBACKS = ("on_start", "before_inference", "after_inference", "on_end")


class DatasetEvaluator:
    """Collects what a model says about a data set, and turns it into numbers at the end.

    ``inference_on_dataset`` calls ``reset`` once, ``process`` for every batch and then ``evaluate``.
    """

    def reset(self) -> None:
        """Forget everything processed so far."""

    def process(self, inputs: Any, outputs: Any) -> None:
        """Take in one batch.

        Args:
            inputs: what the model was given, e.g. a list of dicts of the standard data format.
            outputs: what it returned, one entry for each input.
        """

    def evaluate(self) -> dict[str, Any] | None:
        """The results over everything processed.

        Returns:
            task name (e.g. ``bbox``) to metric name to number; processes other than the main one may return None.
        """


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators over one pass of the model; their results are joined."""

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        """
        Args:
            evaluators: the evaluators, whose results must not share a task name.
        """
        super().__init__()
        self._evaluators = evaluators

    def reset(self) -> None:
        for evaluator in self._evaluators:
            evaluator.reset()

    def process(self, inputs: Any, outputs: Any) -> None:
        for evaluator in self._evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> dict[str, Any]:
        """The joined results.

        Raises:
            ValueError: two evaluators return results under the same name.
        """
        joined: dict[str, Any] = OrderedDict()
        for evaluator in self._evaluators:
            # every evaluator has to run on every process, as most exchange data; only the main one's results count
            result = evaluator.evaluate()
            if not is_main_process() or result is None:
                continue
            twice = sorted(set(result) & set(joined))
            if twice:
                raise ValueError(f"{type(evaluator).__name__} returns results for {twice}, as another evaluator does")
            joined.update(result)
        return joined


def inference_on_dataset(
    model: Callable[[Any], Any],
    data_loader: Iterable[Any],
    evaluator: DatasetEvaluator | list[DatasetEvaluator] | None,
    callbacks: dict[str, Callable[[], None]] | None = None,
) -> dict[str, Any]:
    """Run a model over a data loader in evaluation mode, without gradients, and evaluate what it returns.

    Args:
        model: called with each batch. The mode of a ``nn.Module`` is put back afterwards.
        data_loader: batches; a length is used for the time left, if it has one.
        evaluator: one, several, or None to only run the model.
        callbacks: functions to call at ``on_start``, ``before_inference``, ``after_inference`` (both around each
            batch) and ``on_end``.

    Returns:
        What ``evaluator.evaluate()`` returns, and an empty dict in place of None.

    Raises:
        ValueError: an unknown name in ``callbacks``.
    """
    callbacks = callbacks or {}
    unknown = sorted(set(callbacks) - set(_CALLBACKS))
    if unknown:
        raise ValueError(f"unknown callbacks {unknown}; known: {list(_CALLBACKS)}")
    if evaluator is None:
        evaluator = DatasetEvaluators([])
    elif isinstance(evaluator, (list, tuple)):
        evaluator = DatasetEvaluators(evaluator)

    logger = logging.getLogger(__name__)
    total = len(data_loader) if hasattr(data_loader, "__len__") else None  # type: ignore[arg-type]
    logger.info("Start inference on %s batches", "an unknown number of" if total is None else total)
    evaluator.reset()
    progress = InferenceProgress(total)
    with ExitStack() as stack:
        if isinstance(model, nn.Module):
            stack.enter_context(inference_context(model))
        stack.enter_context(torch.no_grad())
        _call(callbacks, "on_start")
        _run(model, data_loader, evaluator, callbacks, progress)
        _call(callbacks, "on_end")
    for line in progress.summary():
        logger.info(line)
    return evaluator.evaluate() or {}


def _run(
    model: Callable[[Any], Any],
    data_loader: Iterable[Any],
    evaluator: DatasetEvaluator,
    callbacks: dict[str, Callable[[], None]],
    progress: InferenceProgress,
) -> None:
    begin = time.perf_counter()
    for inputs in data_loader:
        loaded = time.perf_counter()
        _call(callbacks, "before_inference")
        outputs = model(inputs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        _call(callbacks, "after_inference")
        computed = time.perf_counter()
        evaluator.process(inputs, outputs)
        processed = time.perf_counter()
        progress.add(loaded - begin, computed - loaded, processed - computed)
        line = progress.line()
        if line is not None:
            log_every_n_seconds(logging.INFO, line, n=5, name=__name__)
        begin = time.perf_counter()


def _call(callbacks: dict[str, Callable[[], None]], name: str) -> None:
    if name in callbacks:
        callbacks[name]()


@contextmanager
def inference_context(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode within the block, and back into its mode after it."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
