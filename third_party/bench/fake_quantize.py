"""Fused fake quantization, forward and backward, against the same in element-wise passes.

Shapes are those of ResNet-18 with FPN on images of 320 x 240: activations of its stages and pyramid levels at batch 8,
and weights. The passes are those one writes first: gradient scale, divide, clamp, round, multiply. The last rows
compare with copying a tensor, forward and back, which is what memory allows.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from third_party.quantization.functional import native
from third_party.quantization.functional.fake_quantize import fake_quantize
from third_party.quantization.functional.rounding import round_ste, scale_gradient

from .timing import Row, compare

ACTIVATIONS = ((8, 64, 60, 80), (8, 128, 30, 40), (8, 256, 15, 20), (8, 256, 60, 80))
WEIGHTS = ((64, 64, 3, 3), (512, 512, 3, 3), (256, 128, 1, 1))
FACTOR = 1e-3


class _Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad.clone()


def passes(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Fake quantization in element-wise passes; ``step`` of shape () or (C, 1, ...)."""
    step = scale_gradient(step, FACTOR)
    return round_ste((x / step).clamp(low, high)) * step


def _training_step(quantize: Callable[..., Tensor], *leaves: Tensor) -> Callable[[], object]:
    inputs = [leaf.clone().requires_grad_() for leaf in leaves]
    grad = torch.randn(leaves[0].shape, generator=torch.Generator().manual_seed(1))
    return lambda: torch.autograd.grad(quantize(*inputs), inputs, grad)


def _fused(low: int, high: int, axis: int | None) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, step: fake_quantize(x, step, torch.zeros_like(step), low, high, axis=axis, gradient_factor=FACTOR)


def rows(repeat: int) -> list[Row]:
    """All comparisons, with the median of ``repeat`` calls each."""
    kind = "fused" if native.prepare("cpu") else "plain (not built)"
    found: list[Row] = []
    for shape in ACTIVATIONS:
        x, step = torch.randn(shape, generator=torch.Generator().manual_seed(0)).relu(), torch.tensor(0.2)
        plain = _training_step(lambda x, step: passes(x, step, 0, 15), x, step)
        name = "x".join(map(str, shape))
        for label, axis, steps in ((f"{name}", None, step), (f"{name}, per channel", 1, step.expand(shape[1]))):
            call = _training_step(_fused(0, 15, axis), x, steps)
            found.append(compare(f"{kind}, activation {label}", call, "passes, one step", plain, repeat))
    for shape in WEIGHTS:
        w, steps = torch.randn(shape, generator=torch.Generator().manual_seed(0)), torch.full((shape[0],), 0.3)
        plain = _training_step(lambda w, step: passes(w, step.view(-1, 1, 1, 1), -8, 7), w, steps)
        call = _training_step(_fused(-8, 7, 0), w, steps)
        name = "x".join(map(str, shape))
        found.append(compare(f"{kind}, weight {name}, per channel", call, "passes, per channel", plain, repeat))
    for shape in ACTIVATIONS[:1]:
        x, step = torch.randn(shape, generator=torch.Generator().manual_seed(0)).relu(), torch.tensor(0.2)
        call, copy = _training_step(_fused(0, 15, None), x, step), _training_step(_Copy.apply, x)
        found.append(compare(f"{kind}, activation {'x'.join(map(str, shape))}", call, "copy", copy, repeat))
    return found
