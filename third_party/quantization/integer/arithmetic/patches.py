"""Windows of an image side by side, as integer convolutions multiply them."""

import torch
from torch import Tensor

from .base import Window


def padded(codes: Tensor, fill: Tensor, window: Window) -> Tensor:
    """``codes`` (``Tensor[N, C, H, W]``) with borders of ``fill``, one number or one a channel; channels last.

    Args:
        codes: integers.
        fill: ``Tensor[]`` or ``Tensor[C]`` of their type.
        window: padding, and for transposed convolutions the stride, whose gaps are filled, too; these get the borders
            by which the convolution with the turned kernel becomes the whole transposed one.
    """
    top, bottom, left, right = window.padding
    x = codes.permute(0, 2, 3, 1)
    if not any(window.padding):
        return x.contiguous()
    n, height, width, channels = x.shape
    out = fill.expand(n, height + top + bottom, width + left + right, channels).contiguous()
    out[:, top : top + height, left : left + width] = x
    return out


def spread(codes: Tensor, fill: Tensor, stride: tuple[int, int]) -> Tensor:
    """``codes`` (``Tensor[N, C, H, W]``) with ``stride - 1`` rows and columns of ``fill`` between its own."""
    n, channels, height, width = codes.shape
    rows, columns = max((height - 1) * stride[0] + 1, 0), max((width - 1) * stride[1] + 1, 0)
    out = fill.expand(n, rows, columns, channels).contiguous().permute(0, 3, 1, 2)
    out[:, :, :: stride[0], :: stride[1]] = codes
    return out


def windows(x: Tensor, kernel: tuple[int, int], window: Window) -> Tensor:
    """A view ``Tensor[N, H', W', kh, kw, C]`` of all windows of padded ``x``, ``Tensor[N, H, W, C]``.

    Raises:
        ValueError: the kernel is larger than the padded image.
    """
    reach = [(size - 1) * dilation for size, dilation in zip(kernel, window.dilation, strict=True)]
    room = [x.shape[1] - reach[0], x.shape[2] - reach[1]]
    if min(room) < 1:
        raise ValueError(f"a kernel of {kernel} pixels does not fit into a padded image of {tuple(x.shape[1:3])}")
    rows, columns = ((space - 1) // step + 1 for space, step in zip(room, window.stride, strict=True))
    n, row, column, channel = x.stride()
    sizes = (x.shape[0], rows, columns, *kernel, x.shape[3])
    strides = (n, row * window.stride[0], column * window.stride[1], row * window.dilation[0])
    return torch.as_strided(x, sizes, (*strides, column * window.dilation[1], channel), x.storage_offset())
