"""A loss that draws weights to the middle of their level's interval (arXiv 2203.11086, section 4.1)."""

import torch
from torch import Tensor

from .layers import QuantizedTensor, evenly_spaced


def dampening_loss(weights: list[QuantizedTensor]) -> Tensor:
    """Sum over all weights of ``(level(w) - clip(w))^2``, equation 5; the levels are held (no gradient).

    Weights beyond the outermost levels add nothing and get no gradient. Quantizers that are switched off, have no
    range yet, or have unevenly spaced levels take no part.

    Args:
        weights: of ``quantized_weights``.

    Returns:
        ``Tensor[]``, differentiable with respect to the weights only; zero when no quantizer takes part.
    """
    losses = [_layer_loss(tensor) for tensor in weights if tensor.active and evenly_spaced(tensor.quantizer.grid())]
    return torch.stack(losses).sum() if losses else torch.zeros(())


def _layer_loss(tensor: QuantizedTensor) -> Tensor:
    values = tensor.quantizer.transform(tensor.quantized_from().float())
    with torch.no_grad():
        grid = tensor.quantizer.grid()
        codes = tensor.quantizer.integers(tensor.quantized_from())
        levels = grid.values(codes)
        lowest, highest = (grid.values(torch.full_like(codes, code)) for code in grid.code_range)
        inside = (values >= lowest) & (values <= highest)
    return ((values - levels) * inside).square().sum()
