"""What a dense assigner decides for every anchor of a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Assignment:
    """One target for each of A anchors of N images.

    Args:
        labels: ``Tensor[N, A]``, int64 class; meaningless on background.
        boxes: ``Tensor[N, A, 4]``, corners in pixels; meaningless on background.
        scores: ``Tensor[N, A]``, target of the label's class in [0, 1]; 0 on background, as are the other classes.
        foreground: ``Tensor[N, A]``, bool.
        indices: ``Tensor[N, A]``, int64 row of the target; 0 on background.
    """

    labels: Tensor
    boxes: Tensor
    scores: Tensor
    foreground: Tensor
    indices: Tensor

    @classmethod
    def background(cls, scores: Tensor, boxes: Tensor) -> "Assignment":
        """No anchor has a target.

        Args:
            scores: ``Tensor[N, A, K]``, predicted; taken for shape, type and device.
            boxes: ``Tensor[N, A, 4]``, likewise.

        Returns:
            All zero and False.
        """
        zero = torch.zeros(scores.shape[:2], dtype=torch.int64, device=scores.device)
        return cls(zero, torch.zeros_like(boxes), zero.to(scores.dtype), zero.bool(), zero.clone())
