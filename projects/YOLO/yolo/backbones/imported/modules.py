"""The layers that operators of a file become."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detectron2.layers import Conv2d

__all__ = ["Arithmetic", "LinearClip", "Multiply", "batch_norm_of", "convolution_of", "padded"]


class Multiply(nn.Module):
    """The product of two maps whose shapes broadcast."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


class LinearClip(nn.Module):
    """``min(max(slope x + offset, 0), 1)``, the hard sigmoid with coefficients of its own."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope, self.offset = slope, offset

    def forward(self, x: Tensor) -> Tensor:
        return (self.slope * x + self.offset).clamp(0, 1)


class Arithmetic(nn.Module):
    """One of the four basic operations with a constant, which is a buffer."""

    constant: Tensor

    def __init__(self, operation: str, constant: Tensor, constant_first: bool = False) -> None:
        """
        Args:
            operation: "add", "sub", "mul" or "div".
            constant: broadcasts with the input.
            constant_first: the constant is the first operand.
        """
        super().__init__()
        self.operation, self.constant_first = operation, constant_first
        self.register_buffer("constant", constant)

    def forward(self, x: Tensor) -> Tensor:
        operands = (self.constant, x) if self.constant_first else (x, self.constant)
        return getattr(torch, self.operation)(*operands)

    def extra_repr(self) -> str:
        return f"{self.operation}, constant_first={self.constant_first}"


def padded(module: nn.Module, sides: Sequence[int], value: float = 0.0) -> nn.Module:
    """A module behind a padding.

    Args:
        module: what reads the padded map.
        sides: pixels at the left, right, top and bottom.
        value: of the padding.
    """
    return nn.Sequential(nn.ConstantPad2d(tuple(sides), value), module) if any(sides) else module


def convolution_of(
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> nn.Module:
    """A convolution with the given weights.

    Args:
        weight: ``Tensor[out, in / groups, kh, kw]``.
        bias: ``Tensor[out]``; None for none.
        stride, dilation, groups: as for ``torch.nn.Conv2d``.
        pads: zeros at the top, left, bottom and right, in pixels.

    Raises:
        ValueError: it is no convolution over height and width.
    """
    if weight.dim() != 4:
        raise ValueError(f"a convolution with weights of shape {tuple(weight.shape)} is not one over height and width")
    top, left, bottom, right = pads
    even = (top, left) == (bottom, right)
    conv = Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        stride=tuple(stride),
        padding=(top, left) if even else 0,
        dilation=tuple(dilation),
        groups=groups,
        bias=bias is not None,
        device="cpu",
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        if conv.bias is not None and bias is not None:
            conv.bias.copy_(bias)
    return conv if even else padded(conv, (left, right, top, bottom))


def batch_norm_of(weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float) -> nn.Module:
    """Batch normalisation with the given ``Tensor[C]``; no weight and bias are ones and zeros."""
    norm = nn.BatchNorm2d(len(mean), eps=eps, device="cpu")
    given = ((norm.weight, weight), (norm.bias, bias), (norm.running_mean, mean), (norm.running_var, variance))
    with torch.no_grad():
        for own, value in given:
            if own is not None and value is not None:
                own.copy_(value)
    return norm
