"""SimOTA assignment (Ge et al., YOLOX, 2107.08430, section 2.1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses.iou import box_iou
from .assignment import Assignment
from .dynamic_k import class_cost, dynamic_k_matching, overlap_cost


@dataclass(frozen=True)
class SimOTAAssigner:
    """Each object takes its cheapest anchors near its centre, a number that follows its overlaps.

    Cost ``c = L_cls + lambda L_reg`` (eq. 1), with ``L_cls`` the binary cross-entropy of the joint score and
    ``L_reg = -log IoU``. Candidates are anchors whose centre lies within ``radius`` strides of an object's centre, in
    both axes; an anchor near another object's centre only is possible at ``outside_cost``.

    Args:
        radius: half side of the centre region, in strides of the anchor's level.
        topk: overlaps that are summed for the number of positives.
        overlap_weight: lambda.
        outside_cost: added where the anchor is outside of this object's centre region.

    Raises:
        ValueError: a value that is not positive.
    """

    radius: float = 1.5
    topk: int = 10
    overlap_weight: float = 3.0
    outside_cost: float = 1e6

    def __post_init__(self) -> None:
        for name in ("radius", "topk", "overlap_weight", "outside_cost"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")

    @torch.no_grad()
    def __call__(
        self,
        scores: Tensor,
        boxes: Tensor,
        anchor_points: Tensor,
        gt_labels: Tensor,
        gt_boxes: Tensor,
        gt_mask: Tensor,
        anchor_strides: Tensor,
    ) -> Assignment:
        """Assign one batch.

        Args:
            scores: ``Tensor[N, A, K]``, ``sqrt(p_class p_object)``.
            boxes: ``Tensor[N, A, 4]``, predicted corners in pixels.
            anchor_points: ``Tensor[A, 2]``, centres of the cells in pixels.
            gt_labels: ``Tensor[N, M]``, int64.
            gt_boxes: ``Tensor[N, M, 4]``, corners in pixels.
            gt_mask: ``Tensor[N, M]``, bool.
            anchor_strides: ``Tensor[A, 1]``, pixels.

        Returns:
            The assignment; a positive's score is its overlap with the object.
        """
        result = Assignment.background(scores, boxes)
        for image, mask in enumerate(gt_mask):
            rows = mask.nonzero().squeeze(1)
            objects = gt_boxes[image, rows]
            near = self._near(anchor_points, anchor_strides, objects)
            candidates = near.any(dim=0).nonzero().squeeze(1)
            labels = gt_labels[image, rows]
            ious = box_iou(objects.unsqueeze(1), boxes[image, candidates].unsqueeze(0))
            cost = class_cost(scores[image, candidates], labels) + self.overlap_weight * overlap_cost(ious)
            owner = dynamic_k_matching(cost + self.outside_cost * ~near[:, candidates], ious, self.topk)
            positive = (owner >= 0).nonzero().squeeze(1)
            anchors, owner = candidates[positive], owner[positive]
            result.labels[image, anchors] = labels[owner]
            result.boxes[image, anchors] = objects[owner].to(boxes.dtype)
            result.scores[image, anchors] = ious[owner, positive].to(scores.dtype)
            result.foreground[image, anchors] = True
            result.indices[image, anchors] = rows[owner]
        return result

    def _near(self, points: Tensor, strides: Tensor, objects: Tensor) -> Tensor:
        """Whether an anchor's centre lies in an object's centre region, ``Tensor[M, A]``."""
        centres = (objects[:, :2] + objects[:, 2:]) / 2
        return ((points - centres.unsqueeze(1)).abs() < self.radius * strides).all(dim=2)
