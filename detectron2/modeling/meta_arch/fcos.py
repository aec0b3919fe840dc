"""FCOS: a one-stage detector that predicts, at every location, the distances to the sides of a box."""

import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.config import configurable
from detectron2.layers.nms import batched_nms  # noqa: F401
from detectron2.layers.shape_spec import ShapeSpec  # noqa: F401
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.modeling.backbone.build import build_backbone
from detectron2.modeling.backbone.features import feature_shapes
from detectron2.modeling.box_regression import Box2BoxTransformLinear, _dense_box_regression_loss
from detectron2.structures.boxes import Boxes, pairwise_point_box_distance
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage  # noqa: F401

from .build import META_ARCH_REGISTRY
from .dense_detector import DenseDetector
from .fcos_head import FCOSHead
from .retinanet import RetinaNetHead, focal_loss_of_levels  # noqa: F401

__all__ = ["FCOS"]

logger = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    if name == "sigmoid_focal_loss_jit":  # at first use: fvcore.nn is slow to import
        from detectron2.utils.fvcore_nn import sigmoid_focal_loss_jit

        return sigmoid_focal_loss_jit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@META_ARCH_REGISTRY.register()
class FCOS(DenseDetector):
    """FCOS ("FCOS: A Simple and Strong Anchor-free Object Detector", Tian et al. 2020).

    A location is a square anchor of one stride at the centre of its cell, so distances are in units of the stride.

    Args:
        backbone, head, head_in_features, pixel_mean, pixel_std: see :class:`DenseDetector`; the head predicts class
            logits, distances and centre-ness logits.
        box2box_transform: encoding of boxes; default distances to the sides, divided by the stride.
        num_classes: number of classes K without background.
        center_sampling_radius: positive locations lie within so many strides of a box's centre; 0 or less for
            all locations inside the box.
        focal_loss_alpha, focal_loss_gamma: see :func:`class_focal_loss`.
        test_score_thresh: candidates of inference need a higher score, the geometric mean of class probability
            and centre-ness.
        test_topk_candidates: at most so many candidates a level enter non-maximum suppression.
        test_nms_thresh: overlap (IoU) above which the lower score is suppressed.
        max_detections_per_image: the best so many are returned.
    """

    num_classes_key = "MODEL.FCOS.NUM_CLASSES"  # of the config, judged against the data

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        head: nn.Module,
        head_in_features: list[str] | None = None,
        box2box_transform: Box2BoxTransformLinear | None = None,
        num_classes: int,
        center_sampling_radius: float = 1.5,
        focal_loss_alpha: float = 0.25,
        focal_loss_gamma: float = 2.0,
        test_score_thresh: float = 0.2,
        test_topk_candidates: int = 1000,
        test_nms_thresh: float = 0.6,
        max_detections_per_image: int = 100,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
    ) -> None:
        super().__init__(backbone, head, head_in_features, pixel_mean=pixel_mean, pixel_std=pixel_std)
        shapes = backbone.output_shape()
        strides = [shapes[name].stride for name in self.head_in_features]
        self.anchor_generator = DefaultAnchorGenerator(
            sizes=[[stride] for stride in strides], aspect_ratios=[1.0], strides=strides, offset=0.5
        )
        self.box2box_transform = box2box_transform or Box2BoxTransformLinear(normalize_by_size=True)
        self.num_classes = num_classes
        self.center_sampling_radius = center_sampling_radius
        self.focal_loss_alpha, self.focal_loss_gamma = focal_loss_alpha, focal_loss_gamma
        self.test_score_thresh, self.test_nms_thresh = test_score_thresh, test_nms_thresh
        self.test_topk_candidates = test_topk_candidates
        self.max_detections_per_image = max_detections_per_image

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read ``MODEL.FCOS``, the backbone's settings and ``TEST.DETECTIONS_PER_IMAGE``."""
        settings = cfg.MODEL.FCOS
        backbone = build_backbone(cfg)
        input_shape = feature_shapes(backbone.output_shape(), settings.IN_FEATURES, "MODEL.FCOS.IN_FEATURES")
        head = FCOSHead(
            input_shape=input_shape,
            num_classes=settings.NUM_CLASSES,
            conv_dims=[input_shape[0].channels] * settings.NUM_CONVS,
            norm=settings.NORM,
        )
        return {
            "backbone": backbone,
            "head": head,
            "head_in_features": settings.IN_FEATURES,
            "num_classes": settings.NUM_CLASSES,
            "center_sampling_radius": settings.CENTER_SAMPLING_RADIUS,
            "focal_loss_alpha": settings.FOCAL_LOSS_ALPHA,
            "focal_loss_gamma": settings.FOCAL_LOSS_GAMMA,
            "test_score_thresh": settings.SCORE_THRESH_TEST,
            "test_topk_candidates": settings.TOPK_CANDIDATES_TEST,
            "test_nms_thresh": settings.NMS_THRESH_TEST,
            "max_detections_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    def forward_training(
        self,
        images: ImageList,
        features: list[Tensor],
        predictions: list[list[Tensor]],
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """Label the locations of the batch and compute the losses; see :class:`DenseDetector`."""
        logits, deltas, centerness = self._transpose_dense_predictions(predictions, [self.num_classes, 4, 1])
        anchors = self.anchor_generator(features)
        gt_labels, gt_boxes = self.label_anchors(anchors, gt_instances)
        return self.losses(anchors, logits, gt_labels, deltas, gt_boxes, centerness)

    @torch.no_grad()
    def label_anchors(self, anchors: list[Boxes], gt_instances: list[Instances]) -> tuple[list[Tensor], list[Tensor]]:
        """Label every location of all levels, A in number, for each image.

        Args:
            anchors: for each level its ``Boxes``.
            gt_instances: for each image ``gt_boxes`` and ``gt_classes``.

        Returns:
            For each image int64 ``Tensor[A]`` of labels (class, or K for background) and ``Tensor[A, 4]`` of
            matched boxes, which mean something for positive locations only.
        """
        gt_labels, gt_boxes = [], []
        for instances in gt_instances:
            matches = self._match_anchors(instances.gt_boxes, anchors)
            labels = torch.full_like(matches, self.num_classes)
            boxes = instances.gt_boxes.tensor.new_zeros(len(matches), 4)
            positive = matches >= 0
            labels[positive] = instances.gt_classes[matches[positive]]
            boxes[positive] = instances.gt_boxes.tensor[matches[positive]]
            gt_labels.append(labels)
            gt_boxes.append(boxes)
        return gt_labels, gt_boxes

    def _match_anchors(self, gt_boxes: Boxes, anchors: list[Boxes]) -> Tensor:
        """For each of all A locations the index of its box, int64 ``Tensor[A]``, -1 for none.

        A location belongs to a box when it lies inside, near its centre, and its largest distance to a side is
        in the range of its level: between 4 and 8 strides, the finest level taking all smaller ones too and the
        coarsest all larger ones. The smallest of several boxes wins (section 3.2).
        """
        all_anchors = Boxes.cat(anchors)
        if len(gt_boxes) == 0:
            return torch.full((len(all_anchors),), -1, dtype=torch.int64, device=all_anchors.device)
        locations = all_anchors.get_centers()
        strides = all_anchors.tensor[:, 2] - all_anchors.tensor[:, 0]
        distances = pairwise_point_box_distance(locations, gt_boxes)
        matched = distances.amin(dim=2) > 0
        if self.center_sampling_radius > 0:
            offset = (locations[:, None] - gt_boxes.get_centers()[None]).abs().amax(dim=2)
            matched &= offset < self.center_sampling_radius * strides[:, None]
        low, high = 4 * strides, 8 * strides
        low[: len(anchors[0])] = 0
        high[len(high) - len(anchors[-1]) :] = float("inf")
        reach = distances.amax(dim=2)
        matched &= (reach > low[:, None]) & (reach < high[:, None])
        area, match = torch.where(matched, gt_boxes.area(), float("inf")).min(dim=1)
        return torch.where(area.isfinite(), match, -1)

    def losses(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
        pred_centerness: list[Tensor],
    ) -> dict[str, Tensor]:
        """Focal loss over all locations; GIoU loss and centre-ness loss over the positive ones.

        All are divided by a running average of the number of positive locations in a batch.

        Args:
            anchors: for each level ``Boxes`` of A_l locations.
            pred_logits, pred_anchor_deltas, pred_centerness: for each level ``Tensor[N, A_l, K]``,
                ``Tensor[N, A_l, 4]`` and ``Tensor[N, A_l, 1]``.
            gt_labels, gt_boxes: what :meth:`label_anchors` returned.

        Returns:
            "loss_fcos_cls", "loss_fcos_loc" and "loss_fcos_ctr".
        """
        labels = torch.stack(gt_labels)
        positive = (labels >= 0) & (labels != self.num_classes)
        num_positive = int(positive.sum())
        self._log_positive_anchors(num_positive, len(gt_labels))
        normalizer = self._ema_update("loss_normalizer", max(num_positive, 1), initial_value=300)
        loss_cls = focal_loss_of_levels(pred_logits, labels, self.focal_loss_alpha, self.focal_loss_gamma)
        loss_box_reg = _dense_box_regression_loss(
            anchors, self.box2box_transform, pred_anchor_deltas, gt_boxes, positive, box_reg_loss_type="giou"
        )
        centerness = torch.cat(pred_centerness, dim=1).squeeze(2)
        loss_centerness = F.binary_cross_entropy_with_logits(
            centerness[positive], self.compute_ctrness_targets(anchors, gt_boxes)[positive], reduction="sum"
        )
        return {
            "loss_fcos_cls": loss_cls / normalizer,
            "loss_fcos_loc": loss_box_reg / normalizer,
            "loss_fcos_ctr": loss_centerness / normalizer,
        }

    def compute_ctrness_targets(self, anchors: list[Boxes], gt_boxes: list[Tensor]) -> Tensor:
        """How central each location lies in its box, from 0 at the border to 1 at the centre (equation 3).

        Args:
            anchors: for each level its ``Boxes``.
            gt_boxes: for each image the matched boxes, ``Tensor[A, 4]``.

        Returns:
            ``Tensor[N, A]``; not meaningful for locations outside of their box.
        """
        locations = Boxes.cat(anchors).tensor
        left, top, right, bottom = self.box2box_transform.get_deltas(locations, torch.stack(gt_boxes)).unbind(dim=2)
        horizontal = torch.minimum(left, right) / torch.maximum(left, right)
        vertical = torch.minimum(top, bottom) / torch.maximum(top, bottom)
        return (horizontal * vertical).sqrt()

    def scores_and_deltas(self, predictions: list[list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        """Geometric mean of class probability and centre-ness, and the distances; see :class:`DenseDetector`."""
        logits, deltas, centerness = self._transpose_dense_predictions(predictions, [self.num_classes, 4, 1])
        levels = zip(logits, centerness, strict=True)
        return [(classes.sigmoid() * center.sigmoid()).sqrt() for classes, center in levels], deltas
