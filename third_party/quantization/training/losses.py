"""Losses of the error that weight quantizers make."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..quantizers.quantizer import Quantizer
from ..spec.choices import check_choice
from .layers import QuantizedTensor


def l1_error(weight: Tensor, quantized: Tensor) -> Tensor:
    """Mean absolute error."""
    return (weight - quantized).abs().mean()


def l2_error(weight: Tensor, quantized: Tensor) -> Tensor:
    """Mean squared error."""
    return (weight - quantized).square().mean()


def distribution_error(weight: Tensor, quantized: Tensor) -> Tensor:
    """Squared difference of the means plus squared difference of the standard deviations."""
    return (weight.mean() - quantized.mean()).square() + (_deviation(weight) - _deviation(quantized)).square()


QUANTIZATION_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1_error,
    "l2": l2_error,
    "distribution": distribution_error,
}


def quantization_loss(weights: list[QuantizedTensor], kind: str) -> Tensor:
    """Mean over layers of the error of their quantized weights.

    Gradients pass through the quantizer as in training: they reach the range, which settles where the error is least,
    and (straight-through) the weights, of which only those outside the range are drawn in. To draw all weights to
    their levels there is :func:`..training.dampening.dampening_loss`.

    Args:
        weights: of ``quantized_weights``; quantizers that are switched off, or have no range yet, take no part.
        kind: "l1", "l2" or "distribution".

    Returns:
        ``Tensor[]``; zero when no quantizer takes part.

    Raises:
        ValueError: an unknown kind.
    """
    check_choice("kind of quantization loss", kind, QUANTIZATION_LOSSES)
    error = QUANTIZATION_LOSSES[kind]
    losses = []
    for tensor in weights:
        if tensor.active:
            weight = tensor.quantized_from()
            losses.append(error(weight.float(), _quantize(tensor.quantizer, weight).float()))
    return torch.stack(losses).mean() if losses else torch.zeros(())


def _quantize(quantizer: Quantizer, weight: Tensor) -> Tensor:
    # In evaluation mode, since a quantizer may let each tensor that it quantizes in training take part in its levels.
    training = quantizer.training
    quantizer.eval()
    try:
        return quantizer.quantize(weight)
    finally:
        quantizer.train(training)


def _deviation(x: Tensor) -> Tensor:
    # The square root's slope is infinite at zero: a layer whose weights are all equal must not give NaN.
    return (x.var(unbiased=False) + 1e-12).sqrt()
