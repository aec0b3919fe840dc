"""The kernels on tensors: layouts, sizes of blocks, what is written."""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from ..arithmetic.base import Window
from . import kernels

# Under these numbers of input channels a block of terms goes over several kernel positions.
_FEW_CHANNELS = 32
# From as many on, large blocks still give every multiprocessor several.
_MANY_PIXELS = 2**14


@dataclass(frozen=True)
class Requantization:
    """What becomes of the sums before they are written.

    Attributes:
        c, d, b: multipliers (int32), shifts (int8) and biases (int64), ``Tensor[C_out]`` each.
        low, high: lowest and highest level.
        half: codes are ``2 * level + 1``.
        dtype: of the codes.
        table: codes by which these are replaced; None: they stay.
        first, stride: the lowest code and the difference of neighbours, by which the table is read.
    """

    c: Tensor
    d: Tensor
    b: Tensor
    low: int
    high: int
    half: bool
    dtype: torch.dtype
    table: Tensor | None = None
    first: int = 0
    stride: int = 1


@dataclass(frozen=True)
class Kernel:
    """Weights and zero-points as the kernels read them.

    Attributes:
        weight: ``Tensor[C_out, kh, kw, C_in / groups]``, int8; depthwise ``Tensor[kh, kw, C_out]`` of any integers.
        zero: ``Tensor[C_in]``: of the codes moved to be int8, int8; depthwise of the codes, int32.
        correction: int32 ``Tensor[C_out]`` of sums of zero-points and weights; None: depthwise.
        moved: codes are 0 to 255, and 128 is taken off.
    """

    weight: Tensor
    zero: Tensor
    correction: Tensor | None
    moved: bool

    @classmethod
    def of(cls, weight: Tensor, zero_point: Tensor, window: Window, codes: torch.dtype) -> "Kernel | None":
        """Weights ``Tensor[C_out, C_in / groups, kh, kw]`` for codes of one type; None where no kernel takes them.

        Args:
            weight: integers, centred.
            zero_point: ``Tensor[]`` or ``Tensor[C_in]``.
            window: of a convolution that is not transposed.
            codes: type of the input.
        """
        zeros = zero_point.int().expand(weight.shape[1] * window.groups)
        if weight.shape[1] == 1 and window.groups > 1:
            return cls(weight[:, 0].permute(1, 2, 0).contiguous(), zeros.contiguous(), None, False)
        if weight.dtype is not torch.int8 or codes not in (torch.int8, torch.uint8):
            return None
        moved = codes is torch.uint8
        zeros = zeros - 128 if moved else zeros
        if zeros.numel() == 0 or int(zeros.min()) < -128 or int(zeros.max()) > 127:  # cannot be padding
            return None
        groups = zeros.view(window.groups, 1, -1, 1, 1)
        products = weight.int().unflatten(0, (window.groups, -1)) * groups
        correction = products.sum((2, 3, 4), dtype=torch.int32).flatten()
        return cls(weight.permute(0, 2, 3, 1).contiguous(), zeros.to(torch.int8), correction, moved)


def convolve(codes: Tensor, kernel: Kernel, window: Window, finish: Requantization | None) -> Tensor:
    """Sums of products of ``codes - zero_point`` and weights, requantized if asked.

    Args:
        codes: ``Tensor[N, C_in, H, W]``, on CUDA, or anywhere under Triton's interpreter.
        kernel: made for their type.
        window: not transposed.
        finish: requantization; None: the int32 sums.

    Returns:
        ``Tensor[N, C_out, H', W']``, in memory with channels last.

    Raises:
        ValueError: the kernel is larger than the padded image.
    """
    x = codes.permute(0, 2, 3, 1).contiguous()
    if kernel.correction is None:
        rows, columns, outputs = kernel.weight.shape
    else:
        outputs, rows, columns, _ = kernel.weight.shape
    n, height, width, channels = x.shape
    size = _output_size((height, width), (rows, columns), window)
    dtype = torch.int32 if finish is None else finish.dtype if finish.table is None else finish.table.dtype
    y = torch.empty((n, *size, outputs), dtype=dtype, device=x.device)
    if y.numel():
        top, _, left, _ = window.padding
        places = (top, left, *window.stride, *window.dilation)
        settings = {"KERNEL_W": columns, "POSITIONS": rows * columns}
        sizes = (n * size[0] * size[1], height, width, *size, channels, outputs)
        with torch.cuda.device_of(x):
            launch = _depthwise if kernel.correction is None else _dense
            launch(x, kernel, window.groups, y, finish, sizes, places, settings)
    return y.permute(0, 3, 1, 2)


def _output_size(size: tuple[int, int], kernel: tuple[int, int], window: Window) -> tuple[int, int]:
    top, bottom, left, right = window.padding
    padded = (size[0] + top + bottom, size[1] + left + right)
    room = [padded[i] - (kernel[i] - 1) * window.dilation[i] for i in (0, 1)]
    if min(room) < 1:
        raise ValueError(f"a kernel of {kernel} pixels does not fit into a padded image of {padded}")
    return (room[0] - 1) // window.stride[0] + 1, (room[1] - 1) // window.stride[1] + 1


def _dense(
    x: Tensor, kernel: Kernel, groups: int, y: Tensor, finish: Requantization | None, sizes: Any, places: Any,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    pixels, channels, outputs = sizes[0], sizes[-2] // groups, sizes[-1] // groups
    flat = channels < _FEW_CHANNELS
    block_m = 128 if pixels >= _MANY_PIXELS else 64
    block_n = min(block_m, max(16, triton.next_power_of_2(outputs)))
    block_k = 64 if not flat and channels % 64 == 0 else 32
    grid = (triton.cdiv(pixels, block_m), groups * triton.cdiv(outputs, block_n))
    pointers, limits, flags = _finishing(finish, y)
    settings |= {"MOVED": kernel.moved, "FLAT": flat, "BLOCK_M": block_m, "BLOCK_N": block_n, "BLOCK_K": block_k}
    settings |= {"num_warps": 8 if block_m * block_n == 128 * 128 else 4}  # registers of 4 would not hold the sums
    # uint8 codes are read as int8, which is what they become
    arguments = (x.view(torch.int8), kernel.weight, kernel.zero, kernel.correction, y, *pointers)
    kernels.dense[grid](*arguments, *sizes, channels, outputs, *places, *limits, **settings, **flags)


def _depthwise(
    x: Tensor, kernel: Kernel, groups: int, y: Tensor, finish: Requantization | None, sizes: Any, places: Any,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    block_n = min(64, max(16, triton.next_power_of_2(sizes[-1])))
    block_m = 1024 // block_n
    grid = (triton.cdiv(sizes[0], block_m), triton.cdiv(sizes[-1], block_n))
    pointers, limits, flags = _finishing(finish, y)
    arguments = (x, kernel.weight, kernel.zero, y, *pointers)
    settings |= {"BLOCK_M": block_m, "BLOCK_N": block_n}
    kernels.depthwise[grid](*arguments, *sizes, *places, *limits, **settings, **flags)


def _finishing(finish: Requantization | None, unused: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...], Any]:
    """Pointers, numbers and flags of a requantization; what is not read may be any pointer."""
    if finish is None:
        return (unused,) * 4, (0, 0, 0), {"FUSED": False, "HALF": False, "TABLE": False, "TABLE_SHIFT": 0}
    table = finish.table
    flags = {"FUSED": True, "HALF": finish.half, "TABLE": table is not None, "TABLE_SHIFT": finish.stride - 1}
    pointers = (finish.c, finish.d, finish.b, unused if table is None else table)
    return pointers, (finish.low, finish.high, finish.first), flags
