"""Layers together with their batch norm: folded into the weight, or in fixed point."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .fixed_point_norm import FixedPointBatchNorm
from .norms import affine, batch_affine, batch_moments, running_affine

if TYPE_CHECKING:
    from .layer import QuantLayer


def folded_forward(layer: "QuantLayer", norm: nn.Module, x: Tensor, extra: tuple[Any, ...]) -> Tensor:
    """Output of a layer and its batch norm, whose factor is in the weight when that is quantized.

    The weight is ``Q(w * gamma / sqrt(running variance + eps))`` (arXiv 1712.05877, section 3.2, equation 14). In
    training the norm's moments come from the float weight's output on the same input, move the running statistics,
    and decide the output: its channels are multiplied by running over batch deviation (arXiv 1806.08342, section
    3.2.2), so that without quantization this equals the layer followed by its norm. In evaluation the running
    statistics decide, and the norm is gone.

    Args:
        layer: the quantized layer.
        norm: its batch norm, as ``split_norm`` finds it.
        x: quantized input.
        extra: further arguments of the layer.
    """
    bias, channels = layer.bias, layer.out_channels_of(layer.weight)
    factor, shift = running_affine(norm, channels)
    if not (isinstance(norm, _BatchNorm) and norm.training):
        folded_bias = shift if bias is None else shift + bias * factor
        return layer.apply_weight(x, layer.quantized_weight(factor), folded_bias.to(x.dtype), *extra)
    assert norm.running_var is not None
    deviation = (norm.running_var + norm.eps).sqrt()
    moments = batch_moments(norm, layer.apply_weight(x, layer.prepared_weight(), bias, *extra))
    assert moments is not None
    batch_factor, batch_shift = affine(norm, *moments)
    if bias is not None:
        batch_shift = batch_shift + bias * batch_factor
    y = layer.apply_weight(x, layer.quantized_weight(factor), None, *extra)
    return layer.scale_and_shift(y, deviation * moments[1], batch_shift)


def fixed_point_forward(
    layer: "QuantLayer", arithmetic: FixedPointBatchNorm, norm: nn.Module, x: Tensor, extra: tuple[Any, ...]
) -> Tensor:
    """Output of a layer and its batch norm, the norm as integer multiply-add on the layer's sums of products.

    In training the batch's statistics decide, otherwise the running ones. The layer's bias joins the norm's shift:
    the sum of integers has no room for it on its own grid.

    Args:
        layer: the quantized layer.
        arithmetic: rounds the norm's numbers.
        norm, x, extra: as for :func:`folded_forward`.
    """
    y, bias = layer.apply_weight(x, layer.quantized_weight(), None, *extra), layer.bias
    if bias is None:
        factor, shift = batch_affine(norm, y)
    else:
        factor, shift = batch_affine(norm, layer.scale_and_shift(y, torch.ones_like(bias), bias))
        shift = shift + bias * factor
    return layer.scale_and_shift(y, *arithmetic(factor, shift, layer.accumulator_scale()))
