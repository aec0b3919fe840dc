"""Loss of YOLOX (Ge et al., 2107.08430)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...assigners.assignment import Assignment
from ...assigners.simota import SimOTAAssigner
from ..anchor_points import anchor_points
from ..bce import binary_cross_entropy
from ..iou import box_iou
from ..targets import Targets

_EPS = 1e-8


class YOLOXLoss(nn.Module):
    """Overlap, objectness and class losses, all over the number of positives.

    ``iou = sum (1 - IoU^2)`` and ``cls = sum BCE(logits, IoU one_hot)`` over positives, ``obj = sum BCE`` over all
    anchors, and with ``use_l1`` the absolute error of the raw box outputs over positives (for the last epochs). A raw
    box is ``((cx, cy) / s - cell, log((w, h) / s))``.

    Args:
        num_classes: K.
        strides: pixels a cell of each level.
        assigner: SimOTA.
        iou_gain: weight of the overlap term.
        use_l1: add "loss_l1"; may be switched during training.
    """

    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int] = (8, 16, 32),
        *,
        assigner: SimOTAAssigner | None = None,
        iou_gain: float = 5.0,
        use_l1: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.assigner = SimOTAAssigner() if assigner is None else assigner
        self.iou_gain = iou_gain
        self.use_l1 = use_l1

    def forward(self, predictions: Sequence[Tensor], targets: Targets) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            predictions: per level ``Tensor[N, 5 + K, H, W]``: raw box, objectness logit, class logits.
            targets: the objects.

        Returns:
            Scalars "loss_iou", "loss_obj", "loss_cls" and perhaps "loss_l1", weighted; their sum is the loss.

        Raises:
            ValueError: a level with another number of channels.
        """
        raw, points, strides = self._join(predictions)
        boxes = _decode(raw[..., :4], points, strides)
        assigned = self._assign(raw, boxes, points, strides, targets)
        positive = assigned.foreground
        total = positive.sum().clamp(min=1)
        objectness = binary_cross_entropy(raw[..., 4], positive)
        wanted = F.one_hot(assigned.labels[positive], self.num_classes) * assigned.scores[positive].unsqueeze(1)
        losses = {
            "loss_iou": self.iou_gain * (1 - box_iou(boxes[positive], assigned.boxes[positive]).square()).sum() / total,
            "loss_obj": objectness.sum() / total,
            "loss_cls": binary_cross_entropy(raw[..., 5:][positive], wanted).sum() / total,
        }
        if self.use_l1:
            encoded = _encode(assigned.boxes, points, strides)[positive]
            losses["loss_l1"] = (raw[..., :4][positive] - encoded).abs().sum() / total
        return losses

    def _join(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        for index, level in enumerate(levels):
            if level.shape[1] != 5 + self.num_classes:
                raise ValueError(
                    f"level {index} has {level.shape[1]} channels; 5 + {self.num_classes} classes are needed"
                )
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        points, strides = anchor_points(shapes, self.strides, levels[0].device)
        return torch.cat([level.float().flatten(2) for level in levels], dim=2).transpose(1, 2), points, strides

    @torch.no_grad()
    def _assign(self, raw: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, targets: Targets) -> Assignment:
        scores = (raw[..., 5:].sigmoid() * raw[..., 4:5].sigmoid()).sqrt()
        return self.assigner(scores, boxes, points, targets.labels, targets.boxes, targets.mask, strides)


def _decode(raw: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Corners in pixels. A cell is named by its first corner, half a stride before its centre."""
    centres = raw[..., :2] * strides + points - strides / 2
    half = raw[..., 2:].exp() * strides / 2
    return torch.cat((centres - half, centres + half), dim=-1)


def _encode(boxes: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """The raw outputs that decode to ``boxes``."""
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    sizes = boxes[..., 2:] - boxes[..., :2]
    return torch.cat(((centres - points) / strides + 0.5, (sizes / strides + _EPS).log()), dim=-1)
