"""Loss of the anchor-free heads from YOLOv8 on (YOLOv9, v10, v11 and later share it)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ...assigners.assignment import Assignment
from ...assigners.task_aligned import TaskAlignedAssigner
from ..bce import binary_cross_entropy
from ..dfl import distribution_focal_loss
from ..iou import OVERLAPS
from ..targets import Targets
from .predictions import DensePredictions
from .reduction import finish


class V8DetectionLoss(nn.Module):
    """Classes by binary cross-entropy, boxes by overlap and distribution focal loss, positives by task alignment.

    With q the assigned class scores, ``w = sum_k q_k`` of a positive and ``Q = max(sum q, 1)``:
    ``cls = sum BCE(logits, q) / Q``, ``box = sum w (1 - CIoU) / Q``, ``dfl = sum w mean_4 DFL / Q``
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
        boxes = dense.boxes()
        assigned = self.assigner(
            dense.logits.detach().sigmoid(),
            boxes.detach() * dense.strides,
            dense.points * dense.strides,
            targets.labels,
            targets.boxes,
            targets.mask,
        )
        total = assigned.scores.sum().clamp(min=1)
        classes = binary_cross_entropy(dense.logits, assigned.scores).sum() / total
        overlap, sides = self._box_terms(dense, boxes, assigned)
        terms = {"loss_box": overlap / total, "loss_cls": classes, "loss_dfl": sides / total}
        return finish(terms, self.gains, len(boxes) if self.batch_scaled else None)

    def _box_terms(self, dense: DensePredictions, boxes: Tensor, assigned: Assignment) -> tuple[Tensor, Tensor]:
        """Weighted sums over positives. Sums over no positive are zeros that still reach the predictions."""
        positive = assigned.foreground
        weight = assigned.scores[positive].sum(dim=1)
        target = (assigned.boxes / dense.strides)[positive]
        overlap = (1 - self.overlap(boxes[positive], target)) * weight
        points = dense.points.expand(len(boxes), -1, -1)[positive]
        distances = torch.cat((points - target[:, :2], target[:, 2:] - points), dim=1)
        if self.reg_max > 1:
            sides = distribution_focal_loss(dense.sides[positive], distances)
        else:
            height, width = dense.image_size
            stride = dense.strides.expand(len(boxes), -1, -1)[positive]
            error = (dense.distances()[positive] - distances).abs() * stride
            sides = error / error.new_tensor((width, height, width, height))
        return overlap.sum(), (sides.mean(dim=1) * weight).sum()
