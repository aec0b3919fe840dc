"""Loss of the anchor-free heads from YOLOv8 on (YOLOv9, v10, v11 and later share it)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...assigners.assignment import Assignment
from ...assigners.task_aligned import TaskAlignedAssigner
from ..dfl import distribution_focal_loss
from ..iou import OVERLAPS
from ..targets import Targets
from .predictions import DensePredictions
from .reduction import finish


class V8DetectionLoss(nn.Module):
    """Classes by binary cross-entropy, boxes by overlap and distribution focal loss, positives by task alignment.

    With w the assigned score of a positive, q the class targets (w for the class of a positive, else 0) and
    ``Q = max(sum w, 1)``: ``cls = sum BCE(logits, q) / Q``, ``box = sum w (1 - CIoU) / Q``,
    ``dfl = sum w mean_4 DFL / Q``
    (task alignment 2108.07755, DFL 2006.04388, CIoU 1911.08287). With ``reg_max`` 1 the head gives distances, and the
    third term is their absolute error over the image's width or height.

    Args:
        num_classes: K.
        strides: pixels a cell of each level.
        reg_max: bins of a side.
        assigner: from (scores, boxes, points, labels, boxes, mask) to ``Assignment``.
        box_gain: weight of the overlap term.
        cls_gain: weight of the class term.
        dfl_gain: weight of the distribution term.
        overlap: name in ``OVERLAPS``.
        batch_scaled: multiply by the number of images.

    Raises:
        ValueError: ``reg_max`` below 1 or an unknown overlap.
    """

    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int] = (8, 16, 32),
        reg_max: int = 16,
        *,
        assigner: Callable[..., Assignment] | None = None,
        box_gain: float = 7.5,
        cls_gain: float = 0.5,
        dfl_gain: float = 1.5,
        overlap: str = "ciou",
        batch_scaled: bool = True,
    ) -> None:
        super().__init__()
        if reg_max < 1:
            raise ValueError(f"reg_max is {reg_max}; it must be 1 or more")
        if overlap not in OVERLAPS:
            raise ValueError(f"overlap is {overlap!r}; allowed are {sorted(OVERLAPS)}")
        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.reg_max = reg_max
        self.assigner = TaskAlignedAssigner() if assigner is None else assigner
        self.gains = {"loss_box": box_gain, "loss_cls": cls_gain, "loss_dfl": dfl_gain}
        self.overlap = OVERLAPS[overlap]
        self.batch_scaled = batch_scaled

    def forward(self, predictions: Sequence[Tensor], targets: Targets) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            predictions: per level ``Tensor[N, 4 * reg_max + K, H, W]``, logits.
            targets: the objects.

        Returns:
            Scalars "loss_box", "loss_cls", "loss_dfl", weighted; their sum is the loss.
        """
        dense = DensePredictions.from_levels(predictions, self.strides, self.reg_max, self.num_classes)
        with torch.no_grad():  # boxes get gradients where they are compared, at positives
            boxes = dense.boxes() * dense.strides
            assigned = self.assigner(
                dense.logits.sigmoid(),
                boxes,
                dense.points * dense.strides,
                targets.labels,
                targets.boxes,
                targets.mask,
            )
        foreground = assigned.foreground
        positive, weight = dense.at(foreground), assigned.scores[foreground]
        total = weight.sum().clamp(min=1)
        logits = positive.logits.gather(1, assigned.labels[foreground].unsqueeze(1)).squeeze(1)
        classes = F.softplus(dense.logits).sum() - (weight * logits).sum()  # BCE(x, q) = softplus(x) - q x
        overlap, sides = self._box_terms(positive, assigned.boxes[foreground], weight)
        terms = {"loss_box": overlap / total, "loss_cls": classes / total, "loss_dfl": sides / total}
        return finish(terms, self.gains, len(dense.logits) if self.batch_scaled else None)

    def _box_terms(self, positive: DensePredictions, boxes: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted sums over positives. Sums over no positive are zeros that still reach the predictions."""
        target = boxes / positive.strides
        overlap = (1 - self.overlap(positive.boxes(), target)) * weight
        distances = torch.cat((positive.points - target[:, :2], target[:, 2:] - positive.points), dim=1)
        if self.reg_max > 1:
            sides = distribution_focal_loss(positive.sides, distances)
        else:
            height, width = positive.image_size
            error = (positive.distances() - distances).abs() * positive.strides
            sides = error / error.new_tensor((width, height, width, height))
        return overlap.sum(), (sides.mean(dim=1) * weight).sum()
