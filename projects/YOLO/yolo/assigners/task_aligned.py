"""Task-aligned assignment (Feng et al., TOOD, 2108.07755)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses.iou import complete_iou
from .assignment import Assignment

_EPS = 1e-9


@dataclass(frozen=True)
class TaskAlignedAssigner:
    """Anchors that classify and localise an object well become its positives.

    Metric ``t = s^alpha u^beta`` (eq. 3) of the score s of the object's class and the overlap u (CIoU, 0 or more). Each
    object takes the ``topk`` anchors of largest t whose centres lie inside its box; an anchor that several objects want
    goes to the one it overlaps most. The class target is t scaled so that each object's largest is its largest u
    (section 3.2).

    Args:
        topk: anchors an object may take.
        alpha: exponent of the score.
        beta: exponent of the overlap.
        final_topk: after conflicts are settled an object keeps this many of its anchors; None keeps all.
        min_side: sides shorter than this are enlarged about the centre to it, in pixels, when "inside" is decided, so
            that tiny objects catch the centre of a cell; 0 leaves boxes as they are.
        settle_outside: a wanted anchor may go to an object in whose box its centre does not lie, as YOLOv9 does;
            otherwise only to one in whose box it lies.

    Raises:
        ValueError: a value out of range.
    """

    topk: int = 10
    alpha: float = 0.5
    beta: float = 6.0
    final_topk: int | None = None
    min_side: float = 0.0
    settle_outside: bool = False

    def __post_init__(self) -> None:
        for name in ("topk", "final_topk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more")
        for name in ("alpha", "beta", "min_side"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")

    @torch.no_grad()
    def __call__(
        self, scores: Tensor, boxes: Tensor, anchor_points: Tensor, gt_labels: Tensor, gt_boxes: Tensor, gt_mask: Tensor
    ) -> Assignment:
        """Assign one batch.

        Args:
            scores: ``Tensor[N, A, K]``, predicted probabilities.
            boxes: ``Tensor[N, A, 4]``, predicted corners in pixels.
            anchor_points: ``Tensor[A, 2]``, (x, y) in pixels.
            gt_labels: ``Tensor[N, M]``, int64.
            gt_boxes: ``Tensor[N, M, 4]``, corners in pixels.
            gt_mask: ``Tensor[N, M]``, bool; False rows are padding.

        Returns:
            The assignment; nothing in it carries a gradient.
        """
        if gt_labels.shape[1] == 0:
            return Assignment.background(scores, boxes)
        inside = self._inside(anchor_points, gt_boxes) & gt_mask.unsqueeze(2)
        overlaps, metric = self._alignment(scores, boxes, gt_labels, gt_boxes, inside)
        chosen = _largest(metric, self.topk)
        if self.settle_outside:
            contested = (chosen.sum(dim=1, keepdim=True) > 1) & gt_mask.unsqueeze(2)
            overlaps, metric = self._alignment(scores, boxes, gt_labels, gt_boxes, inside | contested)
        chosen = _settle(chosen, overlaps)
        if self.final_topk is not None:
            chosen = chosen & _largest(metric * chosen, self.final_topk)
        return self._targets(chosen, metric, overlaps, scores, gt_labels, gt_boxes)

    def _inside(self, points: Tensor, gt_boxes: Tensor) -> Tensor:
        """Whether an anchor's centre lies strictly within a box, ``Tensor[N, M, A]``."""
        centre = (gt_boxes[..., :2] + gt_boxes[..., 2:]) / 2
        sides = gt_boxes[..., 2:] - gt_boxes[..., :2]
        growth = torch.where(sides < self.min_side, self.min_side, sides) / 2
        tiny = sides < self.min_side
        low = torch.where(tiny, centre - growth, gt_boxes[..., :2])
        high = torch.where(tiny, centre + growth, gt_boxes[..., 2:])
        x, y = points.unbind(dim=1)
        across = (x - low[..., :1] > _EPS) & (high[..., :1] - x > _EPS)
        return across & (y - low[..., 1:] > _EPS) & (high[..., 1:] - y > _EPS)

    def _alignment(
        self, scores: Tensor, boxes: Tensor, gt_labels: Tensor, gt_boxes: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """CIoU and metric of the ``pairs``, which are few, else 0: each ``Tensor[N, M, A]``."""
        image, target, anchor = pairs.nonzero(as_tuple=True)
        overlap = complete_iou(gt_boxes[image, target], boxes[image, anchor]).clamp(min=0).to(boxes.dtype)
        score = scores[image, anchor, gt_labels[image, target]]
        place = (image, target, anchor)
        overlaps = boxes.new_zeros(pairs.shape).index_put_(place, overlap)
        return overlaps, scores.new_zeros(pairs.shape).index_put_(place, score**self.alpha * overlap**self.beta)

    @staticmethod
    def _targets(
        chosen: Tensor, metric: Tensor, overlaps: Tensor, scores: Tensor, gt_labels: Tensor, gt_boxes: Tensor
    ) -> Assignment:
        """From ``chosen`` ``Tensor[N, M, A]``, in which no anchor has two objects, to the targets of all anchors."""
        image, target, anchor = place = chosen.nonzero(as_tuple=True)
        foreground = torch.zeros(scores.shape[:2], dtype=torch.bool, device=scores.device)
        foreground[image, anchor] = True
        indices = torch.zeros_like(foreground, dtype=torch.int64)
        indices[image, anchor] = target
        labels = gt_labels.gather(1, indices)
        boxes = gt_boxes.gather(1, indices.unsqueeze(2).expand(-1, -1, 4))
        best_metric = (metric * chosen).amax(dim=2)[image, target]
        best_overlap = (overlaps * chosen).amax(dim=2)[image, target]
        wanted = scores.new_zeros(scores.shape[:2])
        wanted[image, anchor] = metric[place] * best_overlap / (best_metric + _EPS)
        return Assignment(labels, boxes, wanted, foreground, indices)


def _largest(metric: Tensor, count: int) -> Tensor:
    """The ``count`` largest positive entries of each row over anchors, as a mask ``Tensor[N, M, A]``."""
    value, place = metric.topk(min(count, metric.shape[2]), dim=2)
    return torch.zeros_like(metric, dtype=torch.bool).scatter_(2, place, value > 0)


def _settle(chosen: Tensor, overlaps: Tensor) -> Tensor:
    """Leave an anchor wanted by several objects to the one it overlaps most."""
    image, anchor = (chosen.sum(dim=1) > 1).nonzero(as_tuple=True)
    settled = chosen.clone()
    settled[image, :, anchor] = False
    settled[image, overlaps[image, :, anchor].argmax(dim=1), anchor] = True
    return settled
