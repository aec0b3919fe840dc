"""Dynamic k of optimal transport assignment (Ge et al., OTA, 2103.14259, section 3.3; YOLOX, 2107.08430)."""

import torch
from torch import Tensor


def dynamic_k_matching(cost: Tensor, ious: Tensor, topk: int) -> Tensor:
    """Give each object its cheapest candidates, as many as the sum of its ``topk`` largest overlaps, at least one.

    A candidate that several objects take goes to the object for which it is cheapest.

    Args:
        cost: ``Tensor[M, C]`` of M objects and C candidates.
        ious: ``Tensor[M, C]``, overlaps.
        topk: overlaps that are summed.

    Returns:
        ``Tensor[C]``, int64: the object of each candidate, -1 for none.
    """
    objects, candidates = cost.shape
    if objects == 0 or candidates == 0:
        return torch.full((candidates,), -1, dtype=torch.int64, device=cost.device)
    counts = ious.topk(min(topk, candidates), dim=1).values.sum(dim=1).int().clamp(min=1)
    rank = cost.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    taken = rank < counts.unsqueeze(1)
    wanted = taken.sum(dim=0)
    owner = torch.where(wanted > 1, cost.argmin(dim=0), taken.int().argmax(dim=0))
    return torch.where(wanted > 0, owner, -1)


def class_cost(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over all classes between each candidate and each object's one-hot label.

    Args:
        probabilities: ``Tensor[C, K]``.
        labels: ``Tensor[M]``, int64.

    Returns:
        ``Tensor[M, C]``. Logarithms are cut at -100, so that a certain prediction costs a finite number.
    """
    positive = probabilities.log().clamp(min=-100)
    negative = torch.log1p(-probabilities).clamp(min=-100)
    return (negative - positive)[:, labels].T - negative.sum(dim=1)


def overlap_cost(ious: Tensor) -> Tensor:
    """``-log IoU``, finite at 0.

    Args:
        ious: ``Tensor[...]`` in [0, 1].

    Returns:
        ``Tensor[...]``.
    """
    return -(ious + 1e-8).log()
