"""Draw detections on the frames of a video, one colour for an object as long as it is followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from detectron2.structures import Instances
from detectron2.utils.colormap import random_color, random_colors  # noqa: F401
from detectron2.utils.vis_image import VisImage
from detectron2.utils.visualizer import ColorMode, Visualizer, _create_text_labels

__all__ = ["VideoVisualizer"]

MATCH_IOU = 0.6
FRAMES_TO_KEEP = 8


@dataclass
class _DetectedInstance:
    """An object seen in an earlier frame: class, box (4,) in pixels, mask RLE or None, colour, frames left to keep."""

    label: int
    bbox: np.ndarray
    mask_rle: dict[str, Any] | None
    color: Any
    ttl: int


class VideoVisualizer:
    """Draws frames of a video; an object keeps its colour while its box overlaps the last one by IoU 0.6.

    Args:
        metadata: class names and colours of the data set.
        instance_mode: how instances are coloured (``IMAGE`` or ``IMAGE_BW``: by object; ``SEGMENTATION``: by class).
    """

    def __init__(self, metadata: Any, instance_mode: ColorMode = ColorMode.IMAGE) -> None:
        self.metadata = metadata
        self._instance_mode = instance_mode
        self._old_instances: list[_DetectedInstance] = []

    def draw_instance_predictions(self, frame: np.ndarray, predictions: Instances) -> VisImage:
        """Draws ``predictions`` on an RGB frame (H, W, 3)."""
        visualizer = Visualizer(frame, self.metadata, instance_mode=self._instance_mode)
        count = len(predictions)
        boxes = predictions.pred_boxes.tensor.cpu().numpy() if predictions.has("pred_boxes") else None
        scores = predictions.scores if predictions.has("scores") else None
        classes = predictions.pred_classes.tolist() if predictions.has("pred_classes") else [0] * count
        masks = predictions.pred_masks.cpu() if predictions.has("pred_masks") else None
        colors = predictions.COLOR if predictions.has("COLOR") else None
        if colors is None and count and boxes is not None:
            detected = [
                _DetectedInstance(c, b, None, None, FRAMES_TO_KEEP) for c, b in zip(classes, boxes, strict=True)
            ]
            colors = self._assign_colors(detected)
        if self._instance_mode == ColorMode.SEGMENTATION:
            colors = visualizer._class_colors(classes, jittering=False) or colors
        if self._instance_mode == ColorMode.IMAGE_BW:
            covered = masks.any(dim=0).numpy() if masks is not None and count else None
            visualizer.output.reset_image(visualizer._create_grayscale_image(covered))
        visualizer.overlay_instances(
            boxes=boxes if masks is None else None,
            masks=masks,
            labels=_create_text_labels(classes, scores, self.metadata.get("thing_classes", None)),
            keypoints=predictions.pred_keypoints if predictions.has("pred_keypoints") else None,
            assigned_colors=colors,
            alpha=0.3 if self._instance_mode == ColorMode.IMAGE_BW else 0.5,
        )
        return visualizer.output

    def draw_sem_seg(self, frame: np.ndarray, sem_seg: torch.Tensor, area_threshold: int | None = None) -> VisImage:
        """Draws a label map (H, W) on an RGB frame; regions below ``area_threshold`` pixels get no label."""
        return Visualizer(frame, self.metadata).draw_sem_seg(sem_seg, area_threshold=area_threshold)

    def draw_panoptic_seg_predictions(
        self,
        frame: np.ndarray,
        panoptic_seg: torch.Tensor,
        segments_info: list[dict[str, Any]],
        area_threshold: int | None = None,
        alpha: float = 0.5,
    ) -> VisImage:
        """Draws a panoptic result on an RGB frame; see :meth:`Visualizer.draw_panoptic_seg`."""
        visualizer = Visualizer(frame, self.metadata, instance_mode=self._instance_mode)
        return visualizer.draw_panoptic_seg(panoptic_seg, segments_info, area_threshold, alpha)

    def _assign_colors(self, instances: list[_DetectedInstance]) -> list[Any]:
        """Gives each instance the colour of the overlapping earlier one of its class, or a new one."""
        used: set[int] = set()
        for instance in instances:
            overlaps = [
                _box_iou(instance.bbox, old.bbox) if old.label == instance.label and i not in used else 0.0
                for i, old in enumerate(self._old_instances)
            ]
            best = int(np.argmax(overlaps)) if overlaps else -1
            if best >= 0 and overlaps[best] > MATCH_IOU:
                used.add(best)
                instance.color = self._old_instances[best].color
            else:
                instance.color = random_color(rgb=True, maximum=1)
        waiting = [old for i, old in enumerate(self._old_instances) if i not in used]
        for old in waiting:
            old.ttl -= 1
        self._old_instances = [old for old in waiting if old.ttl > 0] + instances
        return [instance.color for instance in instances]


def _box_iou(first: np.ndarray, second: np.ndarray) -> float:
    corner = np.maximum(first[:2], second[:2])
    wh = np.clip(np.minimum(first[2:], second[2:]) - corner, 0, None)
    union = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - np.prod(wh)
    return float(np.prod(wh) / union) if union > 0 else 0.0
