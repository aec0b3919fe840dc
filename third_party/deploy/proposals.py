"""Proposals of a region proposal network, as many rows for every image."""

import torch
from torch import Tensor, nn

from detectron2.modeling.proposal_generator.rpn import RPN

from .selection import gather_rows, top_rows
from .suppression import SUPPRESSED, suppress


class PaddedProposals(nn.Module):
    """Feature maps -> the best proposals (Faster R-CNN, section 3.1).

    Args:
        rpn: the network; its weights are shared, not copied.
    """

    def __init__(self, rpn: RPN) -> None:
        super().__init__()
        self.rpn = rpn
        self.candidates = int(rpn.pre_nms_topk[False])
        self.rows = int(rpn.post_nms_topk[False])

    def predictions(self, features: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Objectness logits and deltas of each level, as the head gives them."""
        return self.rpn.rpn_head([features[name] for name in self.rpn.in_features])

    def forward(self, features: dict[str, Tensor], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            features: ``Tensor[N, C, H_l, W_l]`` by name.
            sizes: float32 ``Tensor[N, 2]``, height and width of each image without padding, in pixels.

        Returns:
            ``Tensor[N, R, 4]`` of boxes within the images, best first, and ``Tensor[N, R]`` of their logits,
            ``SUPPRESSED`` from the last proposal on.
        """
        logits, deltas = self.predictions(features)
        anchors = self.rpn.anchor_generator([features[name] for name in self.rpn.in_features])
        found = [
            self._level(level_anchors.tensor, _anchors_last(level, 1).squeeze(2), _anchors_last(level_deltas, 4), sizes)
            for level_anchors, level, level_deltas in zip(anchors, logits, deltas, strict=True)
        ]
        boxes = torch.cat([level_boxes for level_boxes, _ in found], dim=1)
        kept = suppress(
            boxes,
            _level_by_level([scores for _, scores in found]),
            iou_threshold=self.rpn.nms_thresh,
            score_threshold=SUPPRESSED,
            max_per_class=self.rows,
        )
        best, row = top_rows(kept.amax(dim=1), self.rows)
        found_any = best.unsqueeze(2) > SUPPRESSED
        return torch.where(found_any, gather_rows(boxes, row), 0.0), best

    def _level(self, anchors: Tensor, logits: Tensor, deltas: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and logits of the best anchors of a level; those that are no boxes within the image are out."""
        best, row = top_rows(logits, self.candidates)
        decoded = self.rpn.box2box_transform.apply_deltas(gather_rows(deltas, row), anchors[row])
        boxes = clip(decoded, sizes)
        large = (boxes[..., 2:] - boxes[..., :2] > self.rpn.min_box_size).all(dim=2)
        finite = (decoded.abs() < torch.inf).all(dim=2)  # false for what is not a number, too
        return boxes, torch.where(large & finite, best, SUPPRESSED)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes ``Tensor[N, P, 4]`` moved into images of ``sizes`` (height, width), ``Tensor[N, 2]``."""
    limits = sizes.flip(1).repeat(1, 2).unsqueeze(1)
    return torch.minimum(boxes.clamp(min=0), limits)


def _level_by_level(scores: list[Tensor]) -> Tensor:
    """Scores ``Tensor[N, C_l]`` of each of L levels -> ``Tensor[N, L, sum C_l]``: levels as classes of suppression."""
    rows = [
        torch.cat(
            [level if at == own else torch.full_like(level, SUPPRESSED) for at, level in enumerate(scores)], dim=1
        )
        for own in range(len(scores))
    ]
    return torch.stack(rows, dim=1)


def _anchors_last(x: Tensor, box_dim: int) -> Tensor:
    """``Tensor[N, A * B, H, W]`` -> ``Tensor[N, H * W * A, B]``, the order of the anchors."""
    return x.unflatten(1, (-1, box_dim)).permute(0, 3, 4, 1, 2).flatten(1, 3)
