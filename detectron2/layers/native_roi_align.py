"""Fake kernels and autograd of the native ROIAlign, whose schemas and kernels stand in ``csrc``."""

from typing import Any

import torch
from torch import Tensor

FORWARD = "detectron2::roi_align_forward"
BACKWARD = "detectron2::roi_align_backward"


def _fake_forward(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_h: int,
    pooled_w: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    return input.new_empty((rois.shape[0], input.shape[1], pooled_h, pooled_w))


def _fake_backward(
    grad: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_h: int,
    pooled_w: int,
    batch: int,
    channels: int,
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    return grad.new_empty((batch, channels, height, width))


def _save_forward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, rois, *ctx.settings = inputs
    ctx.save_for_backward(rois)
    ctx.input_shape = input.shape


def _differentiate_forward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    (rois,) = ctx.saved_tensors
    scale, pooled_h, pooled_w, ratio, aligned = ctx.settings
    grad_input = torch.ops.detectron2.roi_align_backward(
        grad, rois, scale, pooled_h, pooled_w, *ctx.input_shape, ratio, aligned
    )
    return (grad_input, *[None] * 6)


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, rois, scale, pooled_h, pooled_w, _, _, _, _, ratio, aligned = inputs
    ctx.save_for_backward(rois)
    ctx.settings = (scale, pooled_h, pooled_w, ratio, aligned)


def _differentiate_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    # The operator is linear in the features, so the transpose of its backward is its forward.
    (rois,) = ctx.saved_tensors
    return (torch.ops.detectron2.roi_align_forward(grad, rois, *ctx.settings), *[None] * 10)


def register() -> None:
    """Register what the dispatcher needs besides the kernels; the library must be loaded. Once a process.

    Boxes get no gradient, as in torchvision: proposals are constants for the second stage.
    """
    torch.library.register_fake(FORWARD, _fake_forward)
    torch.library.register_fake(BACKWARD, _fake_backward)
    torch.library.register_autograd(FORWARD, _differentiate_forward, setup_context=_save_forward)
    torch.library.register_autograd(BACKWARD, _differentiate_backward, setup_context=_save_backward)
