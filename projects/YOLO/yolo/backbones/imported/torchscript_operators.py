"""The layer of each TorchScript operator, for those that image classifiers are made of."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.layers import Add, Concat

from .modules import Arithmetic, Multiply, batch_norm_of, convolution_of

__all__ = ["OPERATORS", "Value"]


class Value(str):
    """The name of something that is computed; other strings are constants."""

    __slots__ = ()


def _conv(
    x: Value,
    weight: Any,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Any,
    dilation: Sequence[int],
    groups: int,
) -> nn.Module:
    if not isinstance(weight, Tensor) or isinstance(padding, str):
        raise ValueError("only convolutions with constant weights and a number of pixels as padding are supported")
    height, width = padding
    pads = (height, width, height, width)
    return convolution_of(weight, bias, stride=stride, pads=pads, dilation=dilation, groups=groups)


def _general_conv(*arguments: Any) -> nn.Module:
    x, weight, bias, stride, padding, dilation, transposed, _, groups = arguments[:9]
    if transposed:
        raise ValueError("transposed convolutions are not supported")
    return _conv(x, weight, bias, stride, padding, dilation, groups)


def _batch_norm(x: Value, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> nn.Module:
    _, _, eps, _ = rest
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        raise ValueError("batch normalisation without running statistics is not supported")
    return batch_norm_of(weight, bias, mean, variance, eps)


def _binary(operation: str, a: Any, b: Any, alpha: float = 1) -> nn.Module:
    if alpha != 1:
        raise ValueError(f"{operation} with the factor {alpha} is not supported")
    if isinstance(a, Value) and isinstance(b, Value):
        modules: dict[str, type[nn.Module]] = {"add": Add, "mul": Multiply}
        if operation not in modules:
            raise ValueError(f"{operation} of two computed maps is not supported, only with a constant")
        return modules[operation]()
    constant_first = isinstance(b, Value)
    return Arithmetic(operation, torch.as_tensor(a if constant_first else b).detach().clone(), constant_first)


def _concat(tensors: Sequence[Any], dim: int) -> nn.Module:
    if dim not in (1, -3) or not all(isinstance(tensor, Value) for tensor in tensors):
        raise ValueError("only the channels of computed maps can be joined")
    return Concat()


def _max_pool(x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> nn.Module:
    return nn.MaxPool2d(tuple(kernel), tuple(stride) or None, tuple(padding), tuple(dilation), ceil_mode=ceil_mode)


def _average_pool(
    x: Value, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_padding: bool, divisor: int | None
) -> nn.Module:
    return nn.AvgPool2d(tuple(kernel), tuple(stride) or None, tuple(padding), ceil_mode, count_padding, divisor)


def _global_pool(x: Value, size: Sequence[int]) -> nn.Module:
    if any(isinstance(side, Value) for side in size):
        raise ValueError("pooling to a size that is computed is not supported")
    return nn.AdaptiveAvgPool2d(tuple(size))


def _mean(x: Value, axes: Sequence[int] | None, keep: bool = False, dtype: Any = None) -> nn.Module:
    if sorted(axis % 4 for axis in axes or ()) != [2, 3] or not keep:
        raise ValueError(f"a mean over the axes {axes} is not supported, only one over height and width, kept")
    return nn.AdaptiveAvgPool2d(1)


def _upsample(x: Value, size: Any, factors: Any, *rest: Any) -> nn.Module:
    if size is not None or not isinstance(factors, list) or rest:
        raise ValueError("resizing is supported by constant factors, not to a size")
    return nn.Upsample(scale_factor=tuple(factors), mode="nearest")


def _plain(module: Callable[[], nn.Module], *arguments: Any) -> nn.Module:
    return module()


def _clip(x: Value, low: float, high: float) -> nn.Module:
    return nn.ReLU6() if (low, high) == (0, 6) else nn.Hardtanh(low, high)


OPERATORS: dict[str, Callable[..., nn.Module]] = {
    "aten::conv2d": _conv,
    "aten::_convolution": _general_conv,
    "aten::batch_norm": _batch_norm,
    "aten::relu": partial(_plain, nn.ReLU),
    "aten::relu6": partial(_plain, nn.ReLU6),
    "aten::hardtanh": _clip,
    "aten::leaky_relu": lambda x, slope: nn.LeakyReLU(slope),
    "aten::sigmoid": partial(_plain, nn.Sigmoid),
    "aten::tanh": partial(_plain, nn.Tanh),
    "aten::silu": partial(_plain, nn.SiLU),
    "aten::mish": partial(_plain, nn.Mish),
    "aten::gelu": lambda x, approximate="none": nn.GELU(approximate),
    "aten::hardsigmoid": partial(_plain, nn.Hardsigmoid),
    "aten::hardswish": partial(_plain, nn.Hardswish),
    "aten::add": partial(_binary, "add"),
    "aten::sub": partial(_binary, "sub"),
    "aten::mul": partial(_binary, "mul"),
    "aten::div": partial(_binary, "div"),
    "aten::cat": _concat,
    "aten::max_pool2d": _max_pool,
    "aten::avg_pool2d": _average_pool,
    "aten::adaptive_avg_pool2d": _global_pool,
    "aten::mean": _mean,
    "aten::upsample_nearest2d": _upsample,
    "aten::dropout": partial(_plain, nn.Identity),
    "aten::contiguous": partial(_plain, nn.Identity),
}
