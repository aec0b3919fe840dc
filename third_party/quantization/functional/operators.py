"""The operators of this package: schemas, kernels for any device, fake kernels and autograd.

Kernels for any device are those of :mod:`.eager`; :mod:`.native` and :mod:`.triton_kernels` put faster ones before
them on CPU and GPU.
"""

from typing import Any

import torch
from torch import Tensor

from . import eager

FORWARD = "third_party_quantization::fake_quantize"
BACKWARD = "third_party_quantization::fake_quantize_backward"
_SETTINGS = (
    "Tensor x, Tensor step, Tensor zero_point, int low, int high, int? axis, bool half, float gradient_factor, "
    "bool clip_gradient_only"
)


def _fake_forward(x: Tensor, *settings: Any) -> Tensor:
    return torch.empty_like(x, memory_format=eager.memory_format(x))


def _fake_backward(
    grad: Tensor, x: Tensor, step: Tensor, zero_point: Tensor, *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    grad_x = torch.empty_like(x, memory_format=eager.memory_format(x))
    return grad_x, step.new_empty(step.shape), zero_point.new_empty(zero_point.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.settings = inputs[3:]


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    grads = torch.ops.third_party_quantization.fake_quantize_backward(grad, *ctx.saved_tensors, *ctx.settings)
    return (*grads, *[None] * len(ctx.settings))


torch.library.define(FORWARD, f"({_SETTINGS}) -> Tensor")
torch.library.define(BACKWARD, f"(Tensor grad, {_SETTINGS}) -> (Tensor, Tensor, Tensor)")
torch.library.impl(FORWARD, "default", eager.forward)
torch.library.impl(BACKWARD, "default", eager.backward)
torch.library.register_fake(FORWARD, _fake_forward)
torch.library.register_fake(BACKWARD, _fake_backward)
torch.library.register_autograd(FORWARD, _differentiate, setup_context=_save)
