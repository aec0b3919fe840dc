"""From decoded predictions to the detections of each image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances

from .heads.base import HeadKind
from .nms import nms

__all__ = ["Postprocessing"]


@dataclass(frozen=True)
class Postprocessing:
    """Which decoded predictions become detections.

    Args:
        score_threshold: candidates have a higher score.
        iou_threshold: overlap from which on a box suppresses a worse one of its class; 1 suppresses none.
        max_candidates: best candidates of an image that suppression sees.
        max_detections: of an image.
        multi_label: every class of an anchor is a candidate, not the best one only.
        class_agnostic: boxes of different classes suppress each other too.

    Raises:
        ValueError: a number out of its range.
    """

    score_threshold: float = 0.001
    iou_threshold: float = 0.7
    max_candidates: int = 30000
    max_detections: int = 100
    multi_label: bool = True
    class_agnostic: bool = False

    @classmethod
    def from_config(cls, cfg: CfgNode, head_kind: HeadKind) -> "Postprocessing":
        """From ``MODEL.YOLO`` and ``TEST.DETECTIONS_PER_IMAGE``; end-to-end heads have no suppression."""
        node = cfg.MODEL.YOLO
        return cls(
            score_threshold=node.SCORE_THRESH_TEST,
            iou_threshold=1.0 if head_kind == "end_to_end" else node.NMS_THRESH_TEST,
            max_candidates=node.TOPK_CANDIDATES_TEST,
            max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
            multi_label=node.MULTI_LABEL_TEST,
            class_agnostic=node.CLASS_AGNOSTIC_NMS_TEST,
        )

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must lie in 0..1")
        for name in ("max_candidates", "max_detections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be 1 or more")

    def __call__(self, boxes: Tensor, scores: Tensor, image_sizes: Sequence[tuple[int, int]]) -> list[Instances]:
        """Choose and suppress.

        Args:
            boxes: ``Tensor[N, P, 4]``, corners in pixels.
            scores: ``Tensor[N, P, K]`` in 0..1.
            image_sizes: (height, width) of each image without padding, in pixels.

        Returns:
            for each image ``pred_boxes``, ``scores`` and ``pred_classes``, best first; boxes are not clipped.

        Raises:
            FloatingPointError: scores, or boxes of detections, are not finite.
        """
        if not torch.isfinite(scores.sum(dtype=torch.float32)):
            raise FloatingPointError(
                "the model predicted scores that are not numbers: its weights are broken, or training has diverged"
            )
        found = nms(
            boxes,
            scores,
            iou_threshold=self.iou_threshold,
            score_threshold=self.score_threshold,
            max_candidates=self.max_candidates,
            max_detections=self.max_detections,
            class_agnostic=self.class_agnostic,
            multi_label=self.multi_label,
        )
        if not torch.isfinite(found.boxes).all():
            raise FloatingPointError("the model predicted boxes that are not finite: training has diverged")
        return [
            Instances(size, pred_boxes=Boxes(image.boxes), scores=image.scores, pred_classes=image.labels)
            for image, size in zip(found.split(), image_sizes, strict=True)
        ]
