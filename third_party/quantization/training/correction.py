"""Undoing what quantization did to the statistics of a trained model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..quantizers.processes import reduce_over_processes
from .restore import restored


def correct(model: nn.Module, batches: Iterable[Any]) -> None:
    """Estimate the statistics of all batch norms anew; the integers stay as trained.

    Weights that oscillate between two levels leave the running statistics of batch norms an average over both, which
    fits none (arXiv 2203.11086, section 3.1). Running means and variances become the averages over ``batches`` with
    the quantized weights as they are, everything else in evaluation mode. With it every channel behind a batch norm
    gets a new factor and shift. (arXiv 2311.05109 learns both by the loss in one more epoch; here they are estimated.)

    Biases stay: a detector that was trained on is no longer its float model rounded. What rounding alone does to them
    is undone by :func:`..ptq.bias_correction.correct_biases`.

    Args:
        model: quantized, with its ranges set; called as ``model(batch)`` in evaluation mode, without gradients.
        batches: iterated over once.

    Raises:
        ValueError: no batch.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad():
            _estimate_batch_norms(model, batches)
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def corrected(model: nn.Module, batches: Iterable[Any]) -> Iterator[None]:
    """:func:`correct` for the time of the context."""
    with restored([tensor for norm in _batch_norms(model) for tensor in norm.buffers()]):
        correct(model, batches)
        yield


def _batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def _estimate_batch_norms(model: nn.Module, batches: Iterable[Any]) -> None:
    norms = _batch_norms(model)
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.train()
            norm.momentum = None  # a plain average over the batches counted from here
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.zero_()
        _run(model, batches)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    for norm in norms:
        for statistic in (norm.running_mean, norm.running_var):
            assert statistic is not None
            statistic.copy_(_mean_over_processes(statistic))


def _run(model: nn.Module, batches: Iterable[Any]) -> None:
    count = 0
    for batch in batches:
        model(batch)
        count += 1
    if count == 0:
        raise ValueError("correction needs at least one batch, got none")


def _mean_over_processes(value: Tensor) -> Tensor:
    return reduce_over_processes(value, "sum") / reduce_over_processes(torch.ones_like(value[:1]), "sum")
