"""Draw boxes, masks, keypoints, segmentations and labels on a picture."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import Enum, unique
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from detectron2.data.catalog import MetadataCatalog
from detectron2.structures import BitMasks, Boxes, BoxMode, Keypoints, PolygonMasks  # noqa: F401
from detectron2.utils.colormap import random_color
from detectron2.utils.file_io import PathManager
from detectron2.utils.generic_mask import GenericMask
from detectron2.utils.painter import Painter, brighten
from detectron2.utils.vis_image import VisImage

if TYPE_CHECKING:
    from detectron2.structures import Instances

__all__ = ["ColorMode", "VisImage", "Visualizer"]

logger = logging.getLogger(__name__)

# A label goes below its object when the object covers fewer output pixels than this.
SMALL_OBJECT_AREA = 1000
OFF_WHITE = (1.0, 1.0, 240.0 / 255)
KEYPOINT_THRESHOLD = 0.05


@unique
class ColorMode(Enum):
    """How instances are coloured."""

    IMAGE = 0
    """A colour of its own for every instance."""
    SEGMENTATION = 1
    """Instances of a class share the metadata's colour, slightly varied."""
    IMAGE_BW = 2
    """As ``IMAGE``, with everything but the instances in grey."""


def _create_text_labels(
    classes: Sequence[int] | None,
    scores: Sequence[float] | torch.Tensor | None,
    class_names: Sequence[str] | None,
    is_crowd: Sequence[bool] | None = None,
) -> list[str] | None:
    """Label of each instance, such as ``"dog 87%"`` or ``"dog 87%|crowd"``; None without classes and scores."""
    if classes is None and scores is None:
        return None
    count = len(classes) if classes is not None else len(scores)
    labels = []
    for index in range(count):
        words = []
        if classes is not None:
            number = int(classes[index])
            words.append(class_names[number] if class_names else str(number))
        if scores is not None:
            words.append(f"{float(scores[index]) * 100:.0f}%")
        crowd = "|crowd" if is_crowd is not None and is_crowd[index] else ""
        labels.append(" ".join(words) + crowd)
    return labels


class Visualizer(Painter):
    """Draws predictions or annotations on one picture.

    Args:
        img_rgb: RGB image of shape (H, W, 3), values 0..255.
        metadata: class names and colours of the data set; default: the empty metadata.
        scale: size of the output relative to the picture.
        instance_mode: how instances are coloured.
        font_size_scale: factor on the size of labels.
    """

    def __init__(
        self,
        img_rgb: np.ndarray,
        metadata: Any = None,
        scale: float = 1.0,
        instance_mode: ColorMode = ColorMode.IMAGE,
        font_size_scale: float = 1.0,
    ) -> None:
        self.img = np.asarray(img_rgb).clip(0, 255).astype(np.uint8)
        if self.img.ndim != 3 or self.img.shape[2] != 3:
            raise ValueError(f"Visualizer needs an RGB image of shape (H, W, 3), not {self.img.shape}")
        self.metadata = metadata if metadata is not None else MetadataCatalog.get("__nonexist__")
        height, width = self.img.shape[:2]
        font_size = max((height * width) ** 0.5 / 90, 10 / scale) * font_size_scale
        super().__init__(VisImage(self.img, scale=scale), font_size)
        self.cpu_device = torch.device("cpu")
        self._instance_mode = instance_mode
        self.keypoint_threshold = KEYPOINT_THRESHOLD

    # What to draw.

    def draw_instance_predictions(self, predictions: Instances, jittering: bool = True) -> VisImage:
        """Draws ``pred_boxes``, ``pred_masks``, ``pred_keypoints`` with classes and scores, those that are there.

        Args:
            predictions: detections in the picture's pixels.
            jittering: with ``ColorMode.SEGMENTATION``, vary the colour of instances of one class.
        """
        boxes = predictions.pred_boxes if predictions.has("pred_boxes") else None
        scores = predictions.scores if predictions.has("scores") else None
        classes = predictions.pred_classes.tolist() if predictions.has("pred_classes") else None
        keypoints = predictions.pred_keypoints if predictions.has("pred_keypoints") else None
        masks = None
        if predictions.has("pred_masks"):
            masks = [GenericMask(m, *self.img.shape[:2]) for m in np.asarray(predictions.pred_masks.cpu())]
        if self._instance_mode == ColorMode.IMAGE_BW:
            covered = np.any([m.mask for m in masks], axis=0) if masks else None
            self.output.reset_image(self._create_grayscale_image(covered))
        self.overlay_instances(
            masks=masks,
            boxes=boxes,
            keypoints=keypoints,
            labels=_create_text_labels(classes, scores, self.metadata.get("thing_classes", None)),
            assigned_colors=self._class_colors(classes, jittering),
            alpha=0.3 if self._instance_mode == ColorMode.IMAGE_BW else 0.5,
        )
        return self.output

    def draw_dataset_dict(self, dic: dict[str, Any]) -> VisImage:
        """Draws the annotations (and ``sem_seg_file_name``) of one dictionary of a data set."""
        annotations = dic.get("annotations")
        if annotations:
            classes = [a["category_id"] for a in annotations]
            masks = [a["segmentation"] for a in annotations] if "segmentation" in annotations[0] else None
            keypoints = None
            if "keypoints" in annotations[0]:
                keypoints = np.array([a["keypoints"] for a in annotations]).reshape(len(annotations), -1, 3)
            boxes = [
                BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) if len(a["bbox"]) == 4 else a["bbox"]
                for a in annotations
            ]
            names = self.metadata.get("thing_classes", None)
            crowd = [bool(a.get("iscrowd", 0)) for a in annotations]
            self.overlay_instances(
                labels=_create_text_labels(classes, None, names, crowd),
                boxes=boxes,
                masks=masks,
                keypoints=keypoints,
                assigned_colors=self._class_colors(classes, jittering=True),
            )
        sem_seg = dic.get("sem_seg")
        if sem_seg is None and "sem_seg_file_name" in dic:
            from PIL import Image

            with PathManager.open(dic["sem_seg_file_name"], "rb") as file:
                sem_seg = np.asarray(Image.open(file), dtype="uint8")
        if sem_seg is not None:
            self.draw_sem_seg(sem_seg, area_threshold=0, alpha=0.5)
        return self.output

    def draw_sem_seg(
        self,
        sem_seg: torch.Tensor | np.ndarray,
        area_threshold: int | None = None,
        alpha: float = 0.8,
        draw_text: bool = True,
        edge_color: Any = OFF_WHITE,
    ) -> VisImage:
        """Draws a label map.

        Args:
            sem_seg: class index of each pixel, shape (H, W); indices without a name are left out.
            area_threshold: regions smaller than this many pixels get no label.
            alpha: opacity of the fill in 0..1.
            draw_text: write class names.
            edge_color: matplotlib colour of the outlines.
        """
        labels = np.asarray(sem_seg.cpu() if isinstance(sem_seg, torch.Tensor) else sem_seg)
        names = self.metadata.get("stuff_classes", [])
        colors = self.metadata.get("stuff_colors", None)
        present, counts = np.unique(labels, return_counts=True)
        for label in present[np.argsort(-counts)].tolist():
            if not 0 <= label < len(names):
                continue
            self.draw_binary_mask(
                (labels == label).astype(np.uint8),
                color=np.array(colors[label]) / 255 if colors else None,
                edge_color=edge_color,
                text=names[label] if draw_text else None,
                alpha=alpha,
                area_threshold=area_threshold or 0,
            )
        return self.output

    def draw_panoptic_seg(
        self,
        panoptic_seg: torch.Tensor,
        segments_info: list[dict[str, Any]] | None,
        area_threshold: int | None = None,
        alpha: float = 0.7,
    ) -> VisImage:
        """Draws a panoptic result.

        Args:
            panoptic_seg: segment id of each pixel, shape (H, W); 0 is no segment.
            segments_info: for each segment ``id``, ``category_id``, ``isthing``, perhaps ``score``; None reads
                ``category_id`` as id // label_divisor of the metadata.
            area_threshold: segments smaller than this many pixels get no label.
            alpha: opacity of the fill in 0..1.
        """
        ids = np.asarray(panoptic_seg.cpu())
        if segments_info is None:
            segments_info = self._segments_from_ids(ids)
        if self._instance_mode == ColorMode.IMAGE_BW:
            self.output.reset_image(self._create_grayscale_image(ids > 0))
        stuff = [s for s in segments_info if not s["isthing"]]
        for segment in stuff:
            label = segment["category_id"]
            colors = self.metadata.get("stuff_colors", None)
            self.draw_binary_mask(
                (ids == segment["id"]).astype(np.uint8),
                color=np.array(colors[label]) / 255 if colors else None,
                edge_color=OFF_WHITE,
                text=self.metadata.get("stuff_classes", {label: str(label)})[label],
                alpha=alpha,
                area_threshold=area_threshold or 0,
            )
        things = [s for s in segments_info if s["isthing"]]
        if things:
            classes = [s["category_id"] for s in things]
            scores = [s["score"] for s in things] if all("score" in s for s in things) else None
            crowd = [bool(s.get("iscrowd", 0)) for s in things]
            self.overlay_instances(
                masks=[(ids == s["id"]).astype(np.uint8) for s in things],
                labels=_create_text_labels(classes, scores, self.metadata.get("thing_classes", None), crowd),
                assigned_colors=self._class_colors(classes, jittering=True, any_mode=True),
                alpha=alpha,
            )
        return self.output

    draw_panoptic_seg_predictions = draw_panoptic_seg

    def overlay_instances(
        self,
        *,
        boxes: Any = None,
        labels: Sequence[str] | None = None,
        masks: Any = None,
        keypoints: Any = None,
        assigned_colors: Sequence | None = None,
        alpha: float = 0.5,
    ) -> VisImage:
        """Draws instances, large ones first.

        Args:
            boxes: Boxes or array (N, 4) of x0, y0, x1, y1 in pixels; five columns are rotated boxes.
            labels: N strings.
            masks: BitMasks, PolygonMasks or N of what :class:`GenericMask` takes.
            keypoints: Keypoints or array (N, K, 3) of x, y, score.
            assigned_colors: N matplotlib colours; default random.
            alpha: opacity of masks in 0..1.

        Raises:
            ValueError: if the lengths differ.
        """
        corners = self._convert_boxes(boxes) if boxes is not None else None
        bitmaps = self._convert_masks(masks) if masks is not None else None
        points = self._convert_keypoints(keypoints) if keypoints is not None else None
        given = {"boxes": corners, "labels": labels, "masks": bitmaps, "keypoints": points, "colors": assigned_colors}
        lengths = {name: len(value) for name, value in given.items() if value is not None}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"overlay_instances: lengths differ: {lengths}")
        count = next(iter(lengths.values()), 0)
        if count == 0:
            return self.output
        if corners is not None and corners.shape[1] == 5:
            return self.overlay_rotated_instances(boxes=corners, labels=labels, assigned_colors=assigned_colors)
        colors = assigned_colors or [random_color(rgb=True, maximum=1) for _ in range(count)]
        for index in self._largest_first(corners, bitmaps, count):
            if corners is not None:
                self.draw_box(corners[index], edge_color=colors[index])
            if bitmaps is not None:
                for polygon in bitmaps[index].polygons:
                    self.draw_polygon(polygon.reshape(-1, 2), colors[index], alpha=alpha)
            if labels is not None:
                self._draw_instance_label(
                    labels[index],
                    corners[index] if corners is not None else None,
                    bitmaps[index] if bitmaps is not None else None,
                    colors[index],
                )
        if points is not None:
            for instance in points:
                self.draw_and_connect_keypoints(instance)
        return self.output

    def overlay_rotated_instances(
        self, boxes: Any = None, labels: Sequence[str] | None = None, assigned_colors: Sequence | None = None
    ) -> VisImage:
        """Draws rotated boxes (N, 5) of centre x, y, width, height in pixels and angle in degrees."""
        rotated = self._convert_boxes(boxes) if boxes is not None else np.zeros((0, 5))
        colors = assigned_colors or [random_color(rgb=True, maximum=1) for _ in rotated]
        for index in np.argsort(-rotated[:, 2] * rotated[:, 3]):
            self.draw_rotated_box_with_label(
                rotated[index], edge_color=colors[index], label=labels[index] if labels is not None else None
            )
        return self.output

    def draw_and_connect_keypoints(self, keypoints: Any) -> VisImage:
        """Draws one instance's keypoints (K, 3) of x, y, score, joined by the metadata's connection rules."""
        names = self.metadata.get("keypoint_names", None)
        visible = {}
        for index, (x, y, score) in enumerate(np.asarray(keypoints, dtype=np.float64)):
            if score > self.keypoint_threshold:
                self.draw_circle((x, y), color="r")
                if names:
                    visible[names[index]] = (x, y)
        for first, second, color in self.metadata.get("keypoint_connection_rules", None) or ():
            if first in visible and second in visible:
                (x0, y0), (x1, y1) = visible[first], visible[second]
                self.draw_line([x0, x1], [y0, y1], color=tuple(c / 255 for c in color))
        return self.output

    def get_output(self) -> VisImage:
        """The canvas with everything drawn so far."""
        return self.output

    # Helpers.

    def _jitter(self, color: Any) -> tuple[float, float, float]:
        """``color`` moved by a random step of length 0.5 at most in RGB, kept in 0..1."""
        from matplotlib.colors import to_rgb

        step = np.random.rand(3)
        step = step / np.linalg.norm(step) * 0.5 - 0.25
        return tuple(np.clip(np.array(to_rgb(color)) + step, 0, 1))

    def _class_colors(
        self, classes: Sequence[int] | None, jittering: bool, any_mode: bool = False
    ) -> list[tuple[float, ...]] | None:
        wanted = any_mode or self._instance_mode == ColorMode.SEGMENTATION
        if classes is None or not wanted or not self.metadata.get("thing_colors", None):
            return None
        colors = [tuple(v / 255 for v in self.metadata.thing_colors[c]) for c in classes]
        return [self._jitter(c) for c in colors] if jittering else colors

    def _segments_from_ids(self, ids: np.ndarray) -> list[dict[str, Any]]:
        divisor = self.metadata.label_divisor
        things = set(self.metadata.get("thing_dataset_id_to_contiguous_id", {}).values())
        return [
            {"id": i, "category_id": i // divisor, "isthing": i // divisor in things}
            for i in np.unique(ids).tolist()
            if i > 0
        ]

    def _create_grayscale_image(self, mask: np.ndarray | None = None) -> np.ndarray:
        """The picture in grey, in colour where ``mask`` (H, W) is set."""
        grey = np.repeat(self.img.mean(axis=2, keepdims=True), 3, axis=2)
        return grey if mask is None else np.where(np.asarray(mask)[..., None] > 0, self.img, grey)

    def _convert_boxes(self, boxes: Any) -> np.ndarray:
        if hasattr(boxes, "tensor"):
            return boxes.tensor.detach().cpu().numpy()
        return np.asarray(boxes, dtype=np.float64).reshape(len(boxes), -1 if len(boxes) else 4)

    def _convert_masks(self, masks_or_polygons: Any) -> list[GenericMask]:
        masks = masks_or_polygons
        if isinstance(masks, PolygonMasks):
            masks = masks.polygons
        elif isinstance(masks, BitMasks):
            masks = masks.tensor.cpu().numpy()
        elif isinstance(masks, torch.Tensor):
            masks = masks.cpu().numpy()
        size = self.output.height, self.output.width
        return [m if isinstance(m, GenericMask) else GenericMask(m, *size) for m in masks]

    def _convert_keypoints(self, keypoints: Any) -> np.ndarray:
        if isinstance(keypoints, Keypoints):
            keypoints = keypoints.tensor
        return np.asarray(keypoints.cpu() if isinstance(keypoints, torch.Tensor) else keypoints)

    def _largest_first(self, corners: np.ndarray | None, masks: list[GenericMask] | None, count: int) -> Sequence[int]:
        if corners is not None:
            return np.argsort(-np.prod(corners[:, 2:] - corners[:, :2], axis=1))
        if masks is not None:
            return np.argsort([-m.area() for m in masks])
        return range(count)

    def _draw_instance_label(
        self, label: str, corners: np.ndarray | None, mask: GenericMask | None, color: Any
    ) -> None:
        """Writes ``label`` at the box's corner (beside small boxes) or at the middle of the mask."""
        if corners is not None:
            x0, y0, x1, y1 = corners
            position, alignment = (x0, y0), "left"
            if (x1 - x0) * (y1 - y0) < SMALL_OBJECT_AREA * self.output.scale or y1 - y0 < 40 * self.output.scale:
                position = (x1, y0) if y1 >= self.output.height - 5 else (x0, y1)
        elif mask is not None and mask.area() > 0:
            x0, y0, x1, y1 = mask.bbox()
            ys, xs = np.nonzero(mask.mask)
            position, alignment = (float(np.median(xs)), float(np.median(ys))), "center"
        else:
            return
        self.draw_text(
            label,
            position,
            color=brighten(color, 0.7),
            horizontal_alignment=alignment,
            font_size=self._label_font_size(y1 - y0),
        )
