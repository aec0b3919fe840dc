"""Binary cross-entropy over classes with smoothed labels."""

import torch
from torch import Tensor
from torch.nn import functional as F


def smoothed_one_hot(labels: Tensor, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """One-hot rows with ``1 - s/2`` for the class and ``s/2`` elsewhere.

    Szegedy et al., 1512.00567, section 7, for K independent two-way decisions in place of one K-way decision.

    Args:
        labels: ``Tensor[...]`` of integers from 0 to ``num_classes - 1``.
        num_classes: number of columns.
        smoothing: s, from 0 (hard labels) to less than 1.

    Returns:
        ``Tensor[..., num_classes]``, float32.

    Raises:
        ValueError: ``smoothing`` out of range.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must be at least 0 and less than 1")
    return F.one_hot(labels.long(), num_classes).float() * (1 - smoothing) + smoothing / 2


def binary_cross_entropy(logits: Tensor, target: Tensor, positive_weight: float = 1.0) -> Tensor:
    """``-(w t log p + (1 - t) log(1 - p))`` of each element, ``p = sigmoid(logits)``.

    Args:
        logits: ``Tensor[...]``.
        target: ``Tensor[...]`` in [0, 1].
        positive_weight: w, the weight of the positive part.

    Returns:
        ``Tensor[...]``, not reduced.
    """
    weight = None if positive_weight == 1 else torch.tensor(positive_weight, device=logits.device, dtype=logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), pos_weight=weight, reduction="none")
