"""SimOTA on top of anchor matching (YOLOv7, 2207.02696, section 4.3; OTA, 2103.14259)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses.iou import box_iou
from ..losses.targets import Targets
from .anchor_matching import AnchorMatches
from .dynamic_k import class_cost, dynamic_k_matching, overlap_cost


@dataclass(frozen=True)
class OTAAssigner:
    """Of all pairs of an image, on all levels, keep those that are cheapest for their objects.

    Cost ``BCE(sqrt(p_class p_object), one_hot) - lambda log IoU``; the number for each object follows its overlaps.
    A kept prediction may change to another object than the one it was paired with.

    Args:
        topk: overlaps that are summed for the number of positives.
        overlap_weight: lambda.
        scale_by_height: take x of objects times height over width of the image, for the costs only. The published
            code does so; square images are not affected. It is here to repeat published numbers.

    Raises:
        ValueError: a value that is not positive.
    """

    topk: int = 10
    overlap_weight: float = 3.0
    scale_by_height: bool = False

    def __post_init__(self) -> None:
        for name in ("topk", "overlap_weight"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")

    @torch.no_grad()
    def __call__(
        self, predictions: Sequence[Tensor], matches: Sequence[AnchorMatches], targets: Targets
    ) -> tuple[AnchorMatches, ...]:
        """Refine the pairs of one batch.

        Args:
            predictions: per level ``Tensor[N, anchors, H, W, 5 + K]``: box, objectness and class outputs.
            matches: per level, from ``AnchorMatcher``.
            targets: the objects.

        Returns:
            The kept pairs of each level.
        """
        image_of, labels, objects = targets.flat()
        if self.scale_by_height:
            height, width = predictions[0].shape[2:4]
            objects = objects * objects.new_tensor((height / width, 1, height / width, 1))
        decoded = [_decoded(*each) for each in zip(predictions, matches, strict=True)]
        boxes, scores = (torch.cat(parts) for parts in zip(*decoded, strict=True))
        image = torch.cat([each.image for each in matches])
        owner = torch.full_like(image, -1)
        for index in range(len(targets.mask)):
            candidates = (image == index).nonzero().squeeze(1)
            rows = (image_of == index).nonzero().squeeze(1)
            ious = box_iou(objects[rows].unsqueeze(1), boxes[candidates].unsqueeze(0))
            cost = class_cost(scores[candidates], labels[rows]) + self.overlap_weight * overlap_cost(ious)
            found = dynamic_k_matching(cost, ious, self.topk)
            kept = found >= 0
            owner[candidates[kept]] = rows[found[kept]]
        return tuple(map(_kept, matches, owner.split([len(each.image) for each in matches])))


def _decoded(level: Tensor, matches: AnchorMatches) -> tuple[Tensor, Tensor]:
    """Corners in pixels and joint scores of the pairs."""
    outputs = matches.outputs(level).float()
    boxes = (matches.decode(outputs[:, :4]) + matches.cells().repeat(1, 2)) * matches.stride
    return boxes, (outputs[:, 4:5].sigmoid() * outputs[:, 5:].sigmoid()).sqrt()


def _kept(matches: AnchorMatches, owner: Tensor) -> AnchorMatches:
    keep = (owner >= 0).nonzero().squeeze(1)
    return matches.select(keep, owner[keep])
