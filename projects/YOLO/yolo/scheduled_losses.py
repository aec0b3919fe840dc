"""Losses that change with the iteration of the training."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from detectron2.utils.events import get_event_storage, has_event_storage

from .losses.detection.branches import BranchesLoss
from .losses.detection.yolox import YOLOXLoss
from .losses.targets import Targets


class LateL1YOLOXLoss(YOLOXLoss):
    """Adds the absolute error of the box outputs from an iteration on (YOLOX, section 2.1)."""

    def __init__(self, *args: Any, l1_from: int, **kwargs: Any) -> None:
        """
        Args:
            l1_from: the first iteration with it. Outside of a training, which counts iterations, there is none.
            *args, **kwargs: of :class:`YOLOXLoss`.
        """
        super().__init__(*args, **kwargs)
        self.l1_from = l1_from

    def forward(self, predictions: Sequence[Tensor], targets: Targets) -> dict[str, Tensor]:
        self.use_l1 = has_event_storage() and get_event_storage().iter >= self.l1_from
        return super().forward(predictions, targets)


class ScheduledBranchesLoss(BranchesLoss):
    """Weights of the branches move linearly over a training."""

    def __init__(
        self, losses: Mapping[str, nn.Module], first: Sequence[float], last: Sequence[float], max_iter: int
    ) -> None:
        """
        Args:
            losses: of each branch, in the order of the head's predictions.
            first, last: weight of each branch at the first and at the last iteration.
            max_iter: length of the training. Outside of one, which counts iterations, weights are the first ones.
        """
        super().__init__(losses, dict(zip(losses, first, strict=True)))
        self.ends = {name: (start, end) for name, start, end in zip(losses, first, last, strict=True)}
        self.max_iter = max_iter

    def forward(
        self, predictions: Mapping[str, Sequence[Tensor]] | Sequence[Tensor], targets: Targets
    ) -> dict[str, Tensor]:
        iteration = get_event_storage().iter if has_event_storage() else 0
        progress = min(iteration / max(self.max_iter - 1, 1), 1.0)
        self.weights = {name: start + (end - start) * progress for name, (start, end) in self.ends.items()}
        return super().forward(predictions, targets)
