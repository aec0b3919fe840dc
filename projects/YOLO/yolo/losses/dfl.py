"""Distribution focal loss: a box side as a distribution over bins (Li et al., Generalized Focal Loss, 2006.04388)."""

import torch
from torch import Tensor
from torch.nn import functional as F

_BELOW_LAST_BIN = 0.01


def distribution_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """``-((y_r - y) log S_l + (y - y_l) log S_r)`` with the bins ``y_l <= y < y_r = y_l + 1`` around y (eq. 6).

    Args:
        logits: ``Tensor[..., bins]``, unnormalised log-probabilities of the distances 0 to ``bins - 1``.
        target: ``Tensor[...]``, distances in bins; clamped to ``[0, bins - 1.01]``, the last left bin's reach.

    Returns:
        ``Tensor[...]``, the loss of each side.

    Raises:
        ValueError: fewer than two bins, or shapes that do not match.
    """
    bins = logits.shape[-1]
    if bins < 2:
        raise ValueError(f"logits has {bins} bins; a distribution needs 2 or more")
    if logits.shape[:-1] != target.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)}, logits {tuple(logits.shape)} need {logits.shape[:-1]}"
        )
    target = target.clamp(0, bins - 1 - _BELOW_LAST_BIN)
    left = target.long()
    right_weight = target - left
    log_probability = F.log_softmax(logits, dim=-1)
    at_left = log_probability.gather(-1, left.unsqueeze(-1)).squeeze(-1)
    at_right = log_probability.gather(-1, left.unsqueeze(-1) + 1).squeeze(-1)
    return -((1 - right_weight) * at_left + right_weight * at_right)


def expected_distance(logits: Tensor) -> Tensor:
    """``sum_i i S_i``, the mean of the distribution (2006.04388, eq. 4).

    Args:
        logits: ``Tensor[..., bins]``.

    Returns:
        ``Tensor[...]`` in bins, from 0 to ``bins - 1``.
    """
    bins = torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    return logits.softmax(dim=-1) @ bins
