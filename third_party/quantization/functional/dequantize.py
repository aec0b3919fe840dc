"""Integer codes back to numbers: the operator behind every integer weight."""

from typing import Any

import torch
from torch import Tensor

from ..grids.grid import broadcast

_NAME = "third_party_quantization::dequantize"


def dequantize(codes: Tensor, scale: Tensor, zero_point: Tensor, axis: int | None = None) -> Tensor:
    """``(codes - zero_point) * scale``, float32, differentiable with respect to ``scale``.

    The operator is ``torch.ops.third_party_quantization.dequantize``; it traces through ``torch.compile`` and
    ``torch.export``, so that a graph holds integer weights and one node that turns them into numbers.

    Args:
        codes: integers, any shape.
        scale: ``Tensor[]``; ``Tensor[G]`` for G groups of channels along ``axis``, G dividing their number; or a
            tensor of as many dimensions as ``codes``, with which it broadcasts. May be negative.
        zero_point: integers, in one of these shapes, not necessarily that of ``scale``.
        axis: dimension of the groups.

    Returns:
        float32, in the shape of ``codes``.

    Raises:
        ValueError: codes or zero-points that are no integers, or a scale or zero-point that does not fit the codes.
    """
    for name, tensor in (("codes", codes), ("zero_point", zero_point)):
        if tensor.is_floating_point() or tensor.is_complex():
            raise ValueError(f"{name} must be integers, got {tensor.dtype}")
    for name, tensor in (("scale", scale), ("zero_point", zero_point)):
        _check_shape(name, tensor, codes, axis)
    return torch.ops.third_party_quantization.dequantize(codes, scale, zero_point, axis)


def _check_shape(name: str, values: Tensor, codes: Tensor, axis: int | None) -> None:
    if values.dim() == 0 or (values.dim() == codes.dim() and axis is None):
        return
    if values.dim() != 1 or axis is None or codes.shape[axis] % values.shape[0]:
        along = "without an axis" if axis is None else f"along axis {axis}"
        raise ValueError(
            f"{name} of shape {tuple(values.shape)} does not fit codes of shape {tuple(codes.shape)} {along}"
        )


def _forward(codes: Tensor, scale: Tensor, zero_point: Tensor, axis: int | None) -> Tensor:
    whole = codes.int() - broadcast(zero_point.int(), codes, axis)
    return (whole.float() * broadcast(scale.float(), codes, axis)).contiguous()


def _fake(codes: Tensor, scale: Tensor, zero_point: Tensor, axis: int | None) -> Tensor:
    return torch.empty(codes.shape, dtype=torch.float32, device=codes.device)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    codes, scale, zero_point, axis = inputs
    ctx.save_for_backward(codes, scale, zero_point)
    ctx.axis = axis


def _differentiate(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, None]:
    codes, scale, zero_point = ctx.saved_tensors
    moved = grad * (codes.int() - broadcast(zero_point.int(), codes, ctx.axis)).float()
    if scale.dim() == 1 and ctx.axis is not None:
        of_scale = moved.movedim(ctx.axis, 0).reshape(scale.shape[0], -1).sum(1)
    else:
        of_scale = moved.sum_to_size(scale.shape)
    return None, of_scale.to(scale.dtype), None, None


torch.library.define(_NAME, "(Tensor codes, Tensor scale, Tensor zero_point, int? axis) -> Tensor")
torch.library.impl(_NAME, "default", _forward)
torch.library.register_fake(_NAME, _fake)
torch.library.register_autograd(_NAME, _differentiate, setup_context=_save)
