"""Sigmoid focal loss over class labels, without building the one-hot target."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def class_focal_loss(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sum of the sigmoid focal loss of independent per-class logits.

    The dense detectors see millions of logits, nearly all of them negatives. So every logit is first counted as
    a negative, and then the one positive logit of each foreground row is corrected; neither one-hot targets nor
    intermediate results are kept for the backward pass.

    Args:
        logits: ``Tensor[..., K]``, before the sigmoid.
        labels: ``Tensor[...]`` of integers: a class in ``[0, K)``, ``K`` for background, negative to ignore the row.
        alpha: weight of positives (negatives weigh ``1 - alpha``); negative for no weighting.
        gamma: focusing exponent.

    Returns:
        Scalar tensor in float32, or in float64 for float64 logits.

    Raises:
        ValueError: when the shapes of logits and labels do not belong together.

    Source: "Focal Loss for Dense Object Detection", equation 5.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"labels of shape {tuple(labels.shape)} do not fit logits of shape {tuple(logits.shape)}")
    return _ClassFocalLoss.apply(logits.flatten(0, -2), labels.flatten(), alpha, gamma)


def _weights(alpha: float) -> tuple[float, float]:
    return (alpha, 1.0 - alpha) if alpha >= 0 else (1.0, 1.0)


def _accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _positive_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per row: the logit of its class, the column it stands in, and whether the row is foreground at all."""
    foreground = (labels >= 0) & (labels < logits.shape[1])
    column = torch.where(foreground, labels, 0)[:, None]
    return logits.gather(1, column)[:, 0], column, foreground


class _ClassFocalLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
        ctx.save_for_backward(logits, labels)
        ctx.alpha, ctx.gamma = alpha, gamma
        positive_weight, negative_weight = _weights(alpha)
        x = logits.to(_accumulation_dtype(logits.dtype))
        if x.shape[1] == 0:
            return x.sum()
        as_negative = F.softplus(x).mul_(x.sigmoid().pow_(gamma)).sum(dim=1).mul_(negative_weight)
        total = torch.where(labels >= 0, as_negative, 0.0).sum()

        z, _, foreground = _positive_logits(x, labels)
        wrong = negative_weight * z.sigmoid().pow(gamma) * F.softplus(z)
        right = positive_weight * (-z).sigmoid().pow(gamma) * F.softplus(-z)
        return total + torch.where(foreground, right - wrong, 0.0).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None, None]:
        logits, labels = ctx.saved_tensors
        gamma = ctx.gamma
        positive_weight, negative_weight = _weights(ctx.alpha)
        x = logits.to(_accumulation_dtype(logits.dtype))
        if x.numel() == 0:
            return torch.zeros_like(logits), None, None, None
        p = x.sigmoid()
        # d/dx of p^gamma softplus(x) is p^gamma (gamma (1 - p) softplus(x) + p)
        grad = F.softplus(x).mul_(1 - p).mul_(gamma).add_(p).mul_(p.pow_(gamma)).mul_(negative_weight)
        grad *= (labels >= 0)[:, None]

        z, column, foreground = _positive_logits(x, labels)
        p = z.sigmoid()
        right = -positive_weight * (1 - p).pow(gamma) * (gamma * p * F.softplus(-z) + 1 - p)
        grad.scatter_(1, column, torch.where(foreground, right, grad.gather(1, column)[:, 0])[:, None])
        return (grad * grad_output).to(logits.dtype), None, None, None
