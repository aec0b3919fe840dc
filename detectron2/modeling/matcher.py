"""Assignment of predictions (anchors, proposals) to ground truth by a quality matrix."""

import math

import torch
from torch import Tensor

from detectron2.layers.wrappers import nonzero_tuple  # noqa: F401  (public name of this module)


class Matcher:
    """Gives every prediction the ground truth of highest quality and a label by the interval that it falls in.

    Args:
        thresholds: increasing qualities that separate the intervals, the first above 0.
        labels: one label an interval, ``len(thresholds) + 1`` of them: -1 ignore, 0 background, 1 foreground.
        allow_low_quality_matches: also label 1 the predictions that are the best (ties included) for some
            ground truth, whatever their quality (Faster R-CNN, section 3.1.2, rule i).

    Raises:
        ValueError: when thresholds or labels do not fit.
    """

    def __init__(self, thresholds: list[float], labels: list[int], allow_low_quality_matches: bool = False) -> None:
        if list(thresholds) != sorted(thresholds) or (thresholds and thresholds[0] <= 0):
            raise ValueError(f"thresholds must be positive and increasing, got {thresholds}")
        if len(labels) != len(thresholds) + 1 or any(label not in (-1, 0, 1) for label in labels):
            raise ValueError(
                f"{len(thresholds)} thresholds need {len(thresholds) + 1} labels out of -1, 0, 1; got {labels}"
            )
        self.thresholds = [-math.inf, *thresholds, math.inf]
        self.labels = labels
        self.allow_low_quality_matches = allow_low_quality_matches

    def __call__(self, match_quality_matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Match the N predictions to the M ground truths.

        Args:
            match_quality_matrix: ``Tensor[M, N]`` of non-negative qualities such as IoU.

        Returns:
            matches: int64 ``Tensor[N]``, index of the matched ground truth in [0, M).
            match_labels: int8 ``Tensor[N]``, label of each match. Without ground truth every match is 0 and
            every label that of the lowest interval.
        """
        num_truths, num_predictions = match_quality_matrix.shape
        if num_truths == 0:
            matches = match_quality_matrix.new_zeros(num_predictions, dtype=torch.int64)
            return matches, torch.full_like(matches, self.labels[0], dtype=torch.int8)
        quality, matches = match_quality_matrix.max(dim=0)
        match_labels = torch.full_like(matches, self.labels[0], dtype=torch.int8)
        for threshold, label in zip(self.thresholds[1:-1], self.labels[1:], strict=True):
            match_labels.masked_fill_(quality >= threshold, label)
        if self.allow_low_quality_matches:
            self.set_low_quality_matches_(match_labels, match_quality_matrix)
        return matches, match_labels

    def set_low_quality_matches_(self, match_labels: Tensor, match_quality_matrix: Tensor) -> None:
        """Set to 1, in place, the label of every prediction that no other surpasses for some ground truth.

        Ties count, so a ground truth that nothing overlaps (best quality 0) claims every prediction; Detectron2's
        interface wants it so. Ground truth without area is to be dropped before.

        Args:
            match_labels: int8 ``Tensor[N]``, changed.
            match_quality_matrix: ``Tensor[M, N]``.
        """
        if match_quality_matrix.numel() == 0:
            return
        best = match_quality_matrix.amax(dim=1, keepdim=True)
        match_labels.masked_fill_((match_quality_matrix == best).any(dim=0), 1)
