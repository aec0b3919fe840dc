"""Average recall of class-agnostic box proposals."""

from collections.abc import Iterable
from typing import Any

import torch

from detectron2.structures.boxes import Boxes, BoxMode, pairwise_iou

# squared pixels; "96-128" and the like are ranges of the square root
AREA_RANGES: dict[str, tuple[float, float]] = {
    "all": (0**2, 1e5**2),
    "small": (0**2, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e5**2),
    "96-128": (96**2, 128**2),
    "128-256": (128**2, 256**2),
    "256-512": (256**2, 512**2),
    "512-inf": (512**2, 1e5**2),
}


def _ground_truth(coco_api: Any, image_id: int, area: tuple[float, float]) -> Boxes:
    """Boxes of an image's objects of this size, crowds left out."""
    annotations = coco_api.loadAnns(coco_api.getAnnIds(imgIds=[image_id]))
    chosen = [a for a in annotations if not a.get("iscrowd", 0) and area[0] <= a["area"] <= area[1]]
    boxes = torch.as_tensor([a["bbox"] for a in chosen], dtype=torch.float32).reshape(-1, 4)
    return Boxes(BoxMode.convert(boxes, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS))


def _greedy_coverage(overlaps: torch.Tensor) -> torch.Tensor:
    """How well each object is covered when objects and proposals are paired off, the best pair first.

    Args:
        overlaps: IoU, Tensor[P, G]; overwritten.

    Returns:
        Tensor[G] in the order of pairing; 0 for objects that find no proposal.
    """
    num_proposals, num_objects = overlaps.shape
    covered = overlaps.new_zeros(num_objects)
    for step in range(min(num_proposals, num_objects)):
        best_of_object, proposal_of_object = overlaps.max(dim=0)
        covered[step], obj = best_of_object.max(dim=0)
        overlaps[proposal_of_object[obj], :] = -1
        overlaps[:, obj] = -1
    return covered


def _evaluate_box_proposals(
    dataset_predictions: Iterable[dict[str, Any]],
    coco_api: Any,
    thresholds: torch.Tensor | None = None,
    area: str = "all",
    limit: int | None = None,
) -> dict[str, Any]:
    """Recall of proposals: the part of the objects that some proposal of their own covers well enough.

    Args:
        dataset_predictions: for each image ``image_id`` and ``proposals`` (Instances with ``proposal_boxes`` and
            ``objectness_logits``).
        coco_api: ground truth, a pycocotools ``COCO``.
        thresholds: IoUs from which an object counts as found, Tensor[T]; 0.5, 0.55, ..., 0.95 by default.
        area: which objects count, a key of ``AREA_RANGES``.
        limit: number of highest-scoring proposals an image to look at; all by default.

    Returns:
        ``ar`` (mean of recalls), ``recalls`` Tensor[T], ``thresholds``, ``gt_overlaps`` (sorted coverage of each
        object) and ``num_pos`` (number of objects).

    Raises:
        ValueError: ``area`` is unknown.
    """
    if area not in AREA_RANGES:
        raise ValueError(f"unknown area range {area!r}; known: {list(AREA_RANGES)}")
    coverage = []
    for prediction in dataset_predictions:
        gt_boxes = _ground_truth(coco_api, prediction["image_id"], AREA_RANGES[area])
        if len(gt_boxes) == 0:
            continue
        proposals = prediction["proposals"]
        order = proposals.objectness_logits.sort(descending=True, stable=True).indices[:limit]
        coverage.append(_greedy_coverage(pairwise_iou(proposals.proposal_boxes[order], gt_boxes)))
    gt_overlaps = torch.cat(coverage).sort().values if coverage else torch.zeros(0)
    if thresholds is None:
        thresholds = torch.arange(0.5, 0.95 + 1e-5, 0.05)
    recalls = torch.stack([(gt_overlaps >= t).float().sum() for t in thresholds]) / max(len(gt_overlaps), 1)
    return {
        "ar": recalls.mean(),
        "recalls": recalls,
        "thresholds": thresholds,
        "gt_overlaps": gt_overlaps,
        "num_pos": len(gt_overlaps),
    }
