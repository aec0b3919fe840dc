"""Random choice of a fixed number of labelled predictions."""

import torch
from torch import Tensor

from detectron2.layers.wrappers import nonzero_tuple


def subsample_labels(
    labels: Tensor, num_samples: int, positive_fraction: float, bg_label: int
) -> tuple[Tensor, Tensor]:
    """Draw positives and negatives without replacement.

    Takes at most ``int(num_samples * positive_fraction)`` positives and fills up with negatives; fewer than
    ``num_samples`` come back only where there are too few candidates. Draws one permutation of the positives
    and then one of the negatives from the generator of the labels' device.

    Args:
        labels: integer ``Tensor[N]``; -1 is ignored, ``bg_label`` is negative, anything else positive.
        num_samples: number of labels wanted.
        positive_fraction: largest share of positives.
        bg_label: the label of background.

    Returns:
        Indices into ``labels``: int64 ``Tensor[P]`` of positives, int64 ``Tensor[Q]`` of negatives.
    """
    is_background = labels == bg_label
    positives = nonzero_tuple((labels != -1) & ~is_background)[0]
    negatives = nonzero_tuple(is_background)[0]
    num_positives = min(int(num_samples * positive_fraction), positives.numel())
    num_negatives = min(num_samples - num_positives, negatives.numel())
    return _draw(positives, num_positives), _draw(negatives, num_negatives)


def _draw(candidates: Tensor, count: int) -> Tensor:
    order = torch.randperm(candidates.numel(), device=candidates.device)
    return candidates[order[:count]]
