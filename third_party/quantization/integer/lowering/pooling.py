"""Averages: sums of codes with a smaller scale."""

from typing import Any

import torch

from ..arithmetic.base import Window
from ..operations import Convolution
from ..packing import PackedCodes
from .calls import Call, handles
from .values import Affine, Term, Value
from .weighted import coded


@handles("avg_pool2d", "adaptive_avg_pool2d", "mean")
def average(call: Call) -> Value | None:
    """Average pooling as a convolution of ones within each channel."""
    x = coded(call.origin.arguments[0], call)
    if x is None or x.origin is None and x.rank != 4 or x.grid.axis not in (None, 1):
        return None
    settings = _window(call)
    if settings is None:
        return None
    kernel, window, channels = settings
    count = kernel[0] * kernel[1]
    reach = count * max(x.grid.reach, 128, abs(x.grid.first), abs(x.grid.last))
    if reach >= 2**31:
        return None
    name = call.builder.emit(
        Convolution,
        call.origin.layer,
        x.tensor,
        weight=PackedCodes.pack(torch.ones(channels, 1, *kernel, dtype=torch.int8)),
        weight_zero_point=None,
        zero_point=x.grid.zero_point,
        window=window,
    )
    scale = torch.tensor(x.grid.unit / count, dtype=torch.float64)
    term = Term(name, torch.zeros((), dtype=torch.int64), scale, reach)
    return Affine(terms=(term,), origin=call.origin, rank=call.rank)


def _window(call: Call) -> tuple[tuple[int, int], Window, int] | None:
    """Kernel, window and channels of an average; None for averages of other forms."""
    example = call.input_shape
    if example is None or len(example) != 4 or not isinstance(example[1], int):
        return None
    channels = example[1]
    if call.name == "avg_pool2d":
        kernel = _pair(call.argument("kernel_size"))
        padding = _pair(call.argument("padding", 0))
        odd = call.argument("ceil_mode") or call.argument("divisor_override")
        if odd or (any(padding) and not call.argument("count_include_pad", True)):
            return None
        stride = _pair(call.argument("stride") or kernel)
        sides = (padding[0], padding[0], padding[1], padding[1])
        return kernel, Window(stride, sides, groups=channels), channels
    whole = example[2:]
    if not all(isinstance(size, int) for size in whole):
        return None
    if call.name == "mean":
        everything = sorted(int(dim) % 4 for dim in call.argument("dim") or ()) == [2, 3] and call.argument("keepdim")
    else:
        everything = _pair(call.argument("output_size")) == (1, 1)
    return (_pair(whole), Window(groups=channels), channels) if everything else None


def _pair(value: Any) -> tuple[int, int]:
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    return (int(numbers[0]), int(numbers[-1]))
