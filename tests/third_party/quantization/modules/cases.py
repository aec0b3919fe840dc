"""Every kind of quantized layer, with an input and the function that it should compute."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import DeformConv2d, deform_conv2d

from third_party.quantization.modules import (
    QuantConv2d,
    QuantConvTranspose2d,
    QuantDeformConv,
    QuantLayer,
    QuantLinear,
)
from third_party.quantization.quantizers import Quantizer


@dataclass(frozen=True)
class Case:
    """A float layer, its quantized class, its further arguments, and F(x, weight, bias)."""

    make: Callable[[], nn.Module]
    quantized: type[QuantLayer]
    shape: tuple[int, ...]
    function: Callable[..., Tensor]
    weight_axis: int = 0
    extra: Callable[[], tuple[Any, ...]] = tuple


def _offsets() -> tuple[Tensor, ...]:
    return (torch.rand(2, 18, 6, 5, generator=torch.Generator().manual_seed(1)) - 0.5,)


def _offsets_and_mask() -> tuple[Tensor, ...]:
    return (*_offsets(), torch.rand(2, 9, 6, 5, generator=torch.Generator().manual_seed(2)))


def _deform(x: Tensor, weight: Tensor, bias: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
    return deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)


CASES: dict[str, Case] = {
    "plain": Case(
        lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
        QuantConv2d,
        (2, 4, 6, 5),
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
    ),
    "dilated": Case(
        lambda: nn.Conv2d(4, 6, 3, padding="same", dilation=2, bias=False),
        QuantConv2d,
        (2, 4, 6, 5),
        lambda x, w, b: F.conv2d(x, w, b, padding="same", dilation=2),
    ),
    "reflecting": Case(
        lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
        QuantConv2d,
        (2, 4, 6, 5),
        lambda x, w, b: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), w, b),
    ),
    "grouped": Case(
        lambda: nn.Conv2d(4, 6, 3, groups=2),
        QuantConv2d,
        (2, 4, 6, 5),
        lambda x, w, b: F.conv2d(x, w, b, groups=2),
    ),
    "depthwise": Case(
        lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4),
        QuantConv2d,
        (2, 4, 6, 5),
        lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=4),
    ),
    "transposed": Case(
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
        QuantConvTranspose2d,
        (2, 4, 6, 5),
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        weight_axis=1,
    ),
    "transposed grouped": Case(
        lambda: nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2),
        QuantConvTranspose2d,
        (2, 4, 6, 5),
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, groups=2),
        weight_axis=1,
    ),
    "linear": Case(lambda: nn.Linear(4, 6), QuantLinear, (2, 3, 4), F.linear),
    "deformable": Case(
        lambda: DeformConv2d(4, 6, 3, padding=1),
        QuantDeformConv,
        (2, 4, 6, 5),
        _deform,
        extra=_offsets,
    ),
    "modulated": Case(
        lambda: DeformConv2d(4, 6, 3, padding=1),
        QuantDeformConv,
        (2, 4, 6, 5),
        _deform,
        extra=_offsets_and_mask,
    ),
}


def by_hand(quantizer: Quantizer, x: Tensor, axis: int) -> Tensor:
    """The values of an LSQ quantizer on the integer grid, from its step, bits and sign alone."""
    low, high = (
        (-(2 ** (quantizer.bits - 1)), 2 ** (quantizer.bits - 1) - 1)
        if quantizer.signed
        else (0, 2**quantizer.bits - 1)
    )
    step = quantizer.scale.detach()
    if step.dim():
        shape = [1] * x.dim()
        shape[axis] = -1
        step = step.view(shape)
    return (x.detach() / step).clamp(low, high).round() * step


def sample(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
