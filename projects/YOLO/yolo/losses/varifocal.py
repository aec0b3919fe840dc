"""Varifocal loss (Zhang et al., VarifocalNet, 2008.13367)."""

from torch import Tensor
from torch.nn import functional as F


def varifocal_loss(logits: Tensor, quality: Tensor, labels: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """``q BCE(p, q)`` for positives of quality q, ``alpha p^gamma BCE(p, 0)`` for negatives (eq. 2).

    The weights are constants for the gradient.

    Args:
        logits: ``Tensor[...]``, class logits; ``p = sigmoid(logits)``.
        quality: ``Tensor[...]`` in [0, 1], the IoU of positives (0 elsewhere).
        labels: ``Tensor[...]``, 1 where the class is the target's, else 0.
        alpha: weight of negatives.
        gamma: focusing exponent of negatives.

    Returns:
        ``Tensor[...]``, not reduced.
    """
    probability = logits.detach().sigmoid()
    weight = alpha * probability**gamma * (1 - labels) + quality * labels
    return weight * F.binary_cross_entropy_with_logits(logits, quality * labels, reduction="none")
