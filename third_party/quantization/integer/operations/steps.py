"""ATen operators as steps: those that move values about, on integers, and those before and behind the integers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arithmetic.base import Arithmetic
from ..sizes import evaluate
from .base import Operation, register_operation

# Operators that only choose among values or copy them: they work on codes as they work on numbers.
MOVING = frozenset(
    "alias cat chunk clone constant_pad_nd contiguous expand flatten flip index_select max_pool2d movedim narrow pad "
    "permute pixel_shuffle pixel_unshuffle repeat reshape select slice split squeeze stack t transpose unbind "
    "unflatten unsqueeze upsample_nearest2d view _unsafe_view".split()
)
# Operators of the float parts in front of the first and behind the last integer.
FLOAT = MOVING | frozenset(
    "abs add amax amin arange avg_pool2d clamp clamp_max clamp_min cos div empty eq exp expand_as floor floor_divide "
    "full full_like ge gelu gt hardsigmoid hardswish hardtanh le leaky_relu linspace log lt max maximum mean meshgrid "
    "min minimum mish mul ne neg new_full new_ones new_zeros ones ones_like permute pow reciprocal relu relu6 round "
    "rsqrt rsub select_scatter sigmoid silu sin slice_scatter softmax softplus _softmax sqrt sub sum tanh to "
    "_to_copy type_as where zeros zeros_like".split()
)
# Those that make a tensor of numbers, and have to be told where.
_MAKERS = frozenset("arange empty full linspace ones zeros".split())


@register_operation("step")
@dataclass(frozen=True, eq=False, kw_only=True)
class Step(Operation):
    """One ATen operator out of a fixed list.

    Attributes:
        name: of the operator, as "cat.default".
        arguments: its positional arguments: plain values, ``{"tensor": i}`` for input i, ``{"size": tree}`` for a
            size, ``{"dtype": name}``.
        keywords: those that have to be named.
        floating: works on float tensors; otherwise on integers, and only moves values.

    Raises:
        ValueError: an operator that is not in the list.
    """

    name: str
    arguments: list[Any]
    keywords: dict[str, Any]
    floating: bool

    def __post_init__(self) -> None:
        if self.name.partition(".")[0] not in (FLOAT if self.floating else MOVING):
            raise ValueError(f"operator {self.name!r} is no part of an integer program")

    def run(self, arithmetic: Arithmetic, inputs: list[Tensor], symbols: Mapping[str, int]) -> Tensor:
        arguments = _resolve(self.arguments, inputs, symbols)
        keywords = {key: _resolve(value, inputs, symbols) for key, value in self.keywords.items()}
        special = _SPECIAL.get(self.name)
        if special is not None and not self.floating:
            return special(*arguments)
        packet, _, overload = self.name.partition(".")
        if packet in _MAKERS:
            keywords["device"] = arithmetic.device
        if packet == "div" and arithmetic.device.type != "cpu":
            arguments[1] = _divisor(arguments)
        operator = getattr(getattr(torch.ops.aten, packet), overload)
        return operator(*arguments, **keywords)


def _resolve(value: Any, inputs: list[Tensor], symbols: Mapping[str, int]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_resolve(item, inputs, symbols) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return inputs[value["tensor"]]
    if "size" in value:
        return evaluate(value["size"], symbols)
    return getattr(torch, value["dtype"])


def _divisor(arguments: list[Any]) -> Any:
    """A number as a tensor: by numbers GPUs do not divide, but multiply with the reciprocal, which rounds twice."""
    x, number = arguments[:2]
    if isinstance(number, Tensor) or not isinstance(x, Tensor) or not x.is_floating_point():
        return number
    return torch.tensor(number, dtype=x.dtype, device=x.device)


def _upsample(x: Tensor, size: list[int], scales: list[float | None]) -> Tensor:
    """Nearest upsampling of integers: rows and columns are chosen as PyTorch chooses them for numbers."""
    for axis in (0, 1):
        positions = torch.arange(x.shape[2 + axis], dtype=torch.float64).view(1, 1, -1)
        if scales[axis] is None:
            chosen = F.interpolate(positions, size=size[axis], mode="nearest")
        else:
            chosen = F.interpolate(positions, scale_factor=scales[axis], mode="nearest", recompute_scale_factor=False)
        x = x.index_select(2 + axis, chosen.view(-1).long().to(x.device))
    return x


def _upsample_vec(x: Tensor, output_size: list[int] | None, scale_factors: list[float] | None) -> Tensor:
    size = [int(n * f) for n, f in zip(x.shape[2:], scale_factors or [0, 0], strict=True)]
    return _upsample(x, output_size or size, list(scale_factors) if scale_factors else [None, None])


def _upsample_default(
    x: Tensor, output_size: list[int], scales_h: float | None = None, scales_w: float | None = None
) -> Tensor:
    return _upsample(x, output_size, [scales_h, scales_w])


def _max_pool(x: Tensor, *settings: Any) -> Tensor:
    """Max pooling of integers; PyTorch's own counts positions in the type of the values."""
    wide = x if x.is_floating_point() else x.int() if x.device.type == "cpu" else x.double()
    return torch.ops.aten.max_pool2d.default(wide, *settings).to(x.dtype)


_SPECIAL: dict[str, Callable[..., Tensor]] = {
    "max_pool2d.default": _max_pool,
    "upsample_nearest2d.vec": _upsample_vec,
    "upsample_nearest2d.default": _upsample_default,
}
