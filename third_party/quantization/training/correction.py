"""Undoing what quantization did to the statistics of a trained model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..quantizers.processes import reduce_over_processes
from .layers import quantized_weights
from .restore import restored


def correct(model: nn.Module, batches: Iterable[Any], reference: nn.Module | None = None) -> None:
    """Correct the shift and the spread that quantization causes in each channel; the integers stay as trained.

    Weights that oscillate between two levels leave the running statistics of batch norms an average over both, which
    fits none (arXiv 2203.11086, section 3.1). In two parts:

    1. Running means and variances of all batch norms become the averages over ``batches`` with the quantized weights
       as they are, everything else in evaluation mode. With it every channel behind a batch norm gets a new factor
       and shift. (arXiv 2311.05109 learns both by the loss in one more epoch; here they are estimated.)
    2. With a reference: quantized layers that have a bias and neither norm nor activation of their own, one after
       another in the order of the model's modules, get ``bias += E[reference's output] - E[output]`` for each channel
       (bias correction, arXiv 1906.04721, section 4.2, from data). One pass over the batches for each such layer.

    Args:
        model: quantized, with its ranges set; called as ``model(batch)`` in evaluation mode, without gradients.
        batches: iterated over several times when there is a reference.
        reference: the float model, modules named as in ``model``; None leaves out part 2.

    Raises:
        ValueError: no batch.
    """
    batches = list(batches) if reference is not None and not isinstance(batches, list) else batches
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad():
            _estimate_batch_norms(model, batches)
            if reference is not None:
                _correct_biases(model, batches, reference)
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def corrected(model: nn.Module, batches: Iterable[Any], reference: nn.Module | None = None) -> Iterator[None]:
    """:func:`correct` for the time of the context."""
    norms = [tensor for norm in _batch_norms(model) for tensor in norm.buffers()]
    with restored([*norms, *_open_biases(model).values()]):
        correct(model, batches, reference)
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


def _open_biases(model: nn.Module) -> dict[str, nn.Parameter]:
    """Biases of quantized layers whose output nothing of their own follows, by layer name."""
    found: dict[str, nn.Parameter] = {}
    for tensor in quantized_weights(model):
        layer = tensor.layer
        followed = any(getattr(layer, name, None) is not None for name in ("norm", "activation"))
        bias = getattr(layer, "bias", None)
        if isinstance(bias, nn.Parameter) and not followed:
            found[tensor.name] = bias
    return found


def _correct_biases(model: nn.Module, batches: Iterable[Any], reference: nn.Module) -> None:
    biases = _open_biases(model)
    training = reference.training
    reference.eval()
    targets = _channel_means(reference, list(biases), batches)
    reference.train(training)
    for name, bias in biases.items():
        found = _channel_means(model, [name], batches)
        if name in found and name in targets:
            bias.add_((targets[name] - found[name]).to(bias.dtype))


def _channel_means(model: nn.Module, names: list[str], batches: Iterable[Any]) -> dict[str, Tensor]:
    """Mean of each channel of modules' outputs over all batches and processes; modules that are not used are absent."""
    sums: dict[str, Tensor] = {}
    modules = dict(model.named_modules())

    def add(name: str, output: Tensor) -> None:
        rows = output.float().movedim(-1 if isinstance(modules[name], nn.Linear) else 1, 0).flatten(1)
        total = torch.cat([rows.double().sum(1), rows.new_tensor([rows.shape[1]]).double()])
        sums[name] = sums[name] + total if name in sums else total

    handles = [
        modules[name].register_forward_hook(lambda _m, _args, output, name=name: add(name, output)) for name in names
    ]
    try:
        _run(model, batches)
    finally:
        for handle in handles:
            handle.remove()
    totals = {name: reduce_over_processes(total, "sum") for name, total in sums.items()}
    return {name: total[:-1] / total[-1] for name, total in totals.items()}


def _run(model: nn.Module, batches: Iterable[Any]) -> None:
    count = 0
    for batch in batches:
        model(batch)
        count += 1
    if count == 0:
        raise ValueError("correction needs at least one batch, got none")


def _mean_over_processes(value: Tensor) -> Tensor:
    return reduce_over_processes(value, "sum") / reduce_over_processes(torch.ones_like(value[:1]), "sum")
