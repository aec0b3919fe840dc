"""Thin forms of PyTorch's own layers and functions, with what detectors want on top."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .frozen_batch_norm import FrozenBatchNorm2d

TORCH_VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])

BatchNorm2d = nn.BatchNorm2d
ConvTranspose2d = nn.ConvTranspose2d
Linear = nn.Linear
interpolate = F.interpolate


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` that may carry the normalisation and the activation behind it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """
        Args:
            args, kwargs: as for ``torch.nn.Conv2d``, and the two keywords
                ``norm``: a module applied to the output, or None;
                ``activation``: a callable applied last, or None.
        """
        norm: nn.Module | None = kwargs.pop("norm", None)
        activation: Callable[[Tensor], Tensor] | None = kwargs.pop("activation", None)
        super().__init__(*args, **kwargs)
        self.norm = norm
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C_in, H, W]`` -> ``Tensor[N, C_out, H', W']``; N may be 0."""
        if type(self.norm) is FrozenBatchNorm2d:
            # A fixed affine map of the channels costs less on the weights than on the output, forward and backward.
            x = self._conv_forward(x, *self.norm.fold(self.weight, self.bias))
        else:
            x = super().forward(x)
            if self.norm is not None:
                x = self.norm(x)
        return x if self.activation is None else self.activation(x)


class _NewEmptyTensorOp(torch.autograd.Function):
    """An empty tensor of another shape whose gradient reaches the empty tensor it was made from."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, new_shape: Sequence[int]) -> Tensor:
        ctx.input_shape = x.shape
        return x.new_empty(new_shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.new_empty(ctx.input_shape), None


def cat(tensors: list[Tensor], dim: int = 0) -> Tensor:
    """``torch.cat`` that hands a single tensor through instead of copying it."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)


def empty_input_loss_func_wrapper(loss_func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make ``loss_func(input, target, *, reduction="mean", ...)`` give 0, not NaN, for the mean over no targets.

    The 0 stays connected to ``input``, so that every process of a distributed run has the same graph.
    """

    @functools.wraps(loss_func)
    def safe_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", **kwargs: Any) -> Tensor:
        if reduction == "mean" and target.numel() == 0:
            return 0.0 * input.sum()
        return loss_func(input, target, reduction=reduction, **kwargs)

    return safe_loss


@empty_input_loss_func_wrapper
def cross_entropy(input: Tensor, target: Tensor, *, reduction: str = "mean", **kwargs: Any) -> Tensor:
    """``torch.nn.functional.cross_entropy``; the mean over no targets is 0.

    Args:
        input: logits, ``Tensor[N, C, ...]``.
        target: class indices, ``Tensor[N, ...]``.
        reduction: "none", "sum" or "mean".
        kwargs: the other arguments of the PyTorch function.
    """
    return F.cross_entropy(input, target, reduction=reduction, **kwargs)


def nonzero_tuple(x: Tensor) -> tuple[Tensor, ...]:
    """Indices of the non-zero elements, one ``Tensor[K]`` for each dimension of ``x``."""
    return torch.nonzero(x, as_tuple=True)


@torch.jit.script_if_tracing
def move_device_like(src: torch.Tensor, dst: torch.Tensor) -> torch.Tensor:
    """``src`` on the device of ``dst``. Scripted inside a trace, which would fix the device otherwise."""
    return src.to(dst.device)


def shapes_to_tensor(x: list[int], device: torch.device | None = None) -> Tensor:
    """Sizes as an int64 ``Tensor[len(x)]``. Sizes that are scalar tensors, as while tracing, stay in the graph."""
    if any(isinstance(size, Tensor) for size in x):
        return torch.stack([torch.as_tensor(size, device=device) for size in x])
    return torch.as_tensor(x, dtype=torch.int64, device=device)


def check_if_dynamo_compiling() -> bool:
    """True while ``torch.compile`` or ``torch.export`` traces the caller."""
    return torch.compiler.is_compiling()


def disable_torch_compiler(func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: ``torch.compile`` leaves the function to Python."""
    return torch.compiler.disable(func)
