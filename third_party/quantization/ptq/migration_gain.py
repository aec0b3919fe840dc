"""What an input scale is expected to gain, from the ranges of channels alone."""

import torch
from torch import Tensor

from ..modules import QuantLayer
from ..modules.norms import running_affine, split_norm
from ..quantizers.affine import AffineQuantizer

# The least scale of a channel, where the largest is 1.
SMALLEST = 2.0**-16
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
# A channel's standard deviation is taken to be this share of its range.
_SPREAD = 1 / 8


def best_scale(layer: QuantLayer, low: Tensor, high: Tensor) -> tuple[Tensor, float]:
    """The input scale of least expected error, and by what it divides the error.

    Rounding errors are taken as independent and evenly spread over a step, so that the squared error of an output is
    ``sum_j W_j^2 s_j^2 step_x^2 / 12 + sum_j step_w^2 / 12 Var[x_j / s_j]``; scales are those of SmoothQuant (arXiv
    2211.10438, equation 4) at each of ``STRENGTHS``.

    Args:
        layer: without an input scale, every weight channel of its own range or all of one.
        low, high: ranges of the input's channels, ``Tensor[C_in]``.

    Returns:
        ``Tensor[C_in]``, the largest 1, and the quotient of the errors without and with it.
    """
    weight = _effective_weight(layer)
    axes = [axis for axis in range(weight.dim()) if axis != 1]
    reach, largest = torch.maximum(high, -low), weight.abs().amax(axes)
    plain = _expected_error(layer, weight, low, high, torch.ones_like(reach))
    best, least = torch.ones_like(reach), plain
    for strength in STRENGTHS:
        scale = compromise(reach, largest, strength)
        error = _expected_error(layer, weight, low, high, scale)
        if error < least:
            best, least = scale, error
    return best, plain / least if least > 0 else 1.0


def compromise(reach: Tensor, largest: Tensor, strength: float) -> Tensor:
    """``reach ** strength / largest ** (1 - strength)``, the largest 1; 1 for channels without weights or values."""
    scale = reach.pow(strength) / largest.clamp_min(1e-12).pow(1 - strength)
    scale = torch.where(largest > 0, scale, 0.0)
    return torch.where(scale > 0, scale / scale.max(), 1.0).clamp_min(SMALLEST)


def _effective_weight(layer: QuantLayer) -> Tensor:
    """``Tensor[C_out, C_in, ...]`` with the factor of the batch norm behind it."""
    weight = layer.weight.detach().float()
    norm, _ = split_norm(layer.norm)
    if norm is None:
        return weight
    return weight * layer.spread(running_affine(norm, layer.out_channels_of(layer.weight))[0].float(), weight)


def _expected_error(layer: QuantLayer, weight: Tensor, low: Tensor, high: Tensor, scale: Tensor) -> float:
    inputs, weights = layer.input_quantizer, layer.weight_quantizer
    assert isinstance(inputs, AffineQuantizer)
    outer = (1, -1, *[1] * (weight.dim() - 2))
    top, bottom = (high / scale).max().clamp_min(0), (-low / scale).max().clamp_min(0)
    span = 2 * torch.maximum(top, bottom) if inputs.spec.symmetric and bottom > 0 else top + bottom
    step = span / (inputs.levels.high - inputs.levels.low)
    error = step.square() * (weight * scale.view(outer)).square().sum()
    if isinstance(weights, AffineQuantizer):
        reach = (weight * scale.view(outer)).abs().flatten(1).amax(1)
        if weights.spec.granularity != "channel":
            reach = reach.max().expand_as(reach)
        steps = 2 * reach / (weights.levels.high - weights.levels.low)
        energy = ((high - low) * _SPREAD / scale).square().sum() * weight[0, 0].numel()
        error = error + steps.square().sum() * energy
    return float(error)
