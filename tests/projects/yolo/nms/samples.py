"""Boxes for the tests of suppression, and what torchvision keeps of them."""

import torch
from detectron2.projects.yolo.nms import PaddedDetections
from torch import Tensor
from torchvision.ops import batched_nms

SIZE = 640.0


def random_boxes(images: int, anchors: int, seed: int = 0, largest: float = 120.0) -> Tensor:
    """``Tensor[images, anchors, 4]`` of corners in an image of ``SIZE``, centres crowded around a few points."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(images, 12, 2, generator=generator) * SIZE
    chosen = torch.randint(12, (images, anchors, 1), generator=generator).expand(-1, -1, 2)
    centres = points.gather(1, chosen) + torch.randn(images, anchors, 2, generator=generator) * 25
    sides = 4 + torch.rand(images, anchors, 2, generator=generator) * largest
    return torch.cat([centres - sides / 2, centres + sides / 2], dim=2)


def random_scores(*shape: int, seed: int = 1, levels: int = 0) -> Tensor:
    """Scores in [0, 1); with ``levels``, only so many values, for ties."""
    scores = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return (scores * levels).floor() / levels if levels else scores


def random_labels(*shape: int, classes: int, seed: int = 2) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def kept_by_torchvision(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Indices that torchvision keeps of one image, best first, equal scores by index.

    ``batched_nms`` shifts up to 1,000 boxes by their class, which moves their corners by rounding: boxes that lie
    outside the image and have no area are put behind them, so that it goes class by class.
    """
    apart = torch.full((1001, 4), -1.0)
    keep = batched_nms(
        torch.cat([boxes, apart]),
        torch.cat([scores, scores.new_full((1001,), -1e30)]),
        torch.cat([labels, labels.new_full((1001,), -7)]),
        iou_threshold,
    )
    keep = keep[keep < len(boxes)].sort().values
    return keep[scores[keep].argsort(descending=True, stable=True)]


def expected_of_image(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    anchors: Tensor,
    iou_threshold: float,
    class_agnostic: bool = False,
    max_candidates: int = 1 << 30,
) -> tuple[Tensor, ...]:
    """Boxes, scores, labels and anchors that torchvision keeps of the candidates of one image, in their order."""
    best = scores.argsort(descending=True, stable=True)[:max_candidates]
    boxes, scores, labels, anchors = boxes[best], scores[best], labels[best], anchors[best]
    keep = kept_by_torchvision(boxes, scores, torch.zeros_like(labels) if class_agnostic else labels, iou_threshold)
    return boxes[keep], scores[keep], labels[keep], anchors[keep]


def rows_of_image(padded: PaddedDetections, image: int) -> tuple[Tensor, ...]:
    """Boxes, scores, labels and anchors of one image, without padding."""
    count = int(padded.counts[image])
    return tuple(column[image, :count] for column in padded[:4])
