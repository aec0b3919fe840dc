"""RetinaNet: a one-stage anchor-based detector trained with the focal loss."""

import logging
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.batch_norm import CycleBatchNormList, get_norm  # noqa: F401
from detectron2.layers.focal_loss import class_focal_loss
from detectron2.layers.nms import batched_nms  # noqa: F401
from detectron2.layers.shape_spec import ShapeSpec  # noqa: F401
from detectron2.layers.wrappers import cat  # noqa: F401
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.modeling.backbone.build import build_backbone
from detectron2.modeling.backbone.features import feature_shapes
from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss, check_box_reg_loss_type
from detectron2.modeling.matcher import Matcher
from detectron2.structures.boxes import Boxes, pairwise_iou
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage  # noqa: F401

from .build import META_ARCH_REGISTRY
from .dense_detector import DenseDetector, permute_to_N_HWA_K  # noqa: F401
from .retinanet_head import RetinaNetHead

__all__ = ["RetinaNet"]

logger = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    if name == "sigmoid_focal_loss_jit":  # at first use: fvcore.nn is slow to import
        from detectron2.utils.fvcore_nn import sigmoid_focal_loss_jit

        return sigmoid_focal_loss_jit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@META_ARCH_REGISTRY.register()
class RetinaNet(DenseDetector):
    """RetinaNet ("Focal Loss for Dense Object Detection", Lin et al. 2017).

    Args:
        backbone, head, head_in_features, pixel_mean, pixel_std: see :class:`DenseDetector`; the head predicts class
            logits and box deltas.
        anchor_generator: from feature maps to one ``Boxes`` a level.
        box2box_transform: encoding of boxes relative to anchors.
        anchor_matcher: labels anchors by their overlap with the ground truth.
        num_classes: number of classes K without background.
        focal_loss_alpha, focal_loss_gamma: see :func:`class_focal_loss`.
        smooth_l1_beta, box_reg_loss_type: see :func:`_dense_box_regression_loss`.
        test_score_thresh: candidates of inference need a higher score.
        test_topk_candidates: at most so many candidates a level enter non-maximum suppression.
        test_nms_thresh: overlap (IoU) above which the lower score is suppressed.
        max_detections_per_image: the best so many are returned.
        vis_period: iterations between two pictures of the training; 0 for none.
        input_format: channel order of the input images, for these pictures.
    """

    num_classes_key = "MODEL.RETINANET.NUM_CLASSES"  # of the config, judged against the data

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        head: nn.Module,
        head_in_features: list[str] | None,
        anchor_generator: nn.Module,
        box2box_transform: Box2BoxTransform,
        anchor_matcher: Matcher,
        num_classes: int,
        focal_loss_alpha: float = 0.25,
        focal_loss_gamma: float = 2.0,
        smooth_l1_beta: float = 0.0,
        box_reg_loss_type: str = "smooth_l1",
        test_score_thresh: float = 0.05,
        test_topk_candidates: int = 1000,
        test_nms_thresh: float = 0.5,
        max_detections_per_image: int = 100,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
        vis_period: int = 0,
        input_format: str = "BGR",
    ) -> None:
        super().__init__(backbone, head, head_in_features, pixel_mean=pixel_mean, pixel_std=pixel_std)
        self.num_classes = num_classes
        self.anchor_generator, self.anchor_matcher = anchor_generator, anchor_matcher
        self.box2box_transform = box2box_transform
        self.focal_loss_alpha, self.focal_loss_gamma = focal_loss_alpha, focal_loss_gamma
        self.box_reg_loss_type = check_box_reg_loss_type(box_reg_loss_type)
        self.smooth_l1_beta = smooth_l1_beta
        self.test_score_thresh, self.test_nms_thresh = test_score_thresh, test_nms_thresh
        self.test_topk_candidates = test_topk_candidates
        self.max_detections_per_image = max_detections_per_image
        self.vis_period, self.input_format = vis_period, input_format

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read ``MODEL.RETINANET``, the backbone and anchor settings, and ``TEST.DETECTIONS_PER_IMAGE``."""
        settings = cfg.MODEL.RETINANET
        backbone = build_backbone(cfg)
        shapes = feature_shapes(backbone.output_shape(), settings.IN_FEATURES, "MODEL.RETINANET.IN_FEATURES")
        return {
            "backbone": backbone,
            "head": RetinaNetHead(cfg, shapes),
            "head_in_features": settings.IN_FEATURES,
            "anchor_generator": build_anchor_generator(cfg, shapes),
            "box2box_transform": Box2BoxTransform(weights=settings.BBOX_REG_WEIGHTS),
            "anchor_matcher": Matcher(settings.IOU_THRESHOLDS, settings.IOU_LABELS, allow_low_quality_matches=True),
            "num_classes": settings.NUM_CLASSES,
            "focal_loss_alpha": settings.FOCAL_LOSS_ALPHA,
            "focal_loss_gamma": settings.FOCAL_LOSS_GAMMA,
            "smooth_l1_beta": settings.SMOOTH_L1_LOSS_BETA,
            "box_reg_loss_type": settings.BBOX_REG_LOSS_TYPE,
            "test_score_thresh": settings.SCORE_THRESH_TEST,
            "test_topk_candidates": settings.TOPK_CANDIDATES_TEST,
            "test_nms_thresh": settings.NMS_THRESH_TEST,
            "max_detections_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "vis_period": cfg.VIS_PERIOD,
            "input_format": cfg.INPUT.FORMAT,
        }

    def forward_training(
        self,
        images: ImageList,
        features: list[Tensor],
        predictions: list[list[Tensor]],
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """Label the anchors of the batch and compute the losses; see :class:`DenseDetector`."""
        logits, deltas = self._transpose_dense_predictions(predictions, [self.num_classes, 4])
        anchors = self.anchor_generator(features)
        gt_labels, gt_boxes = self.label_anchors(anchors, gt_instances)
        return self.losses(anchors, logits, gt_labels, deltas, gt_boxes)

    def losses(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Focal loss over all labelled anchors and regression loss over the positive ones.

        Both are divided by a running average of the number of positive anchors in a batch.

        Args:
            anchors: for each level ``Boxes`` of A_l anchors.
            pred_logits, pred_anchor_deltas: for each level ``Tensor[N, A_l, K]`` and ``Tensor[N, A_l, 4]``.
            gt_labels, gt_boxes: what :meth:`label_anchors` returned.

        Returns:
            "loss_cls" and "loss_box_reg".
        """
        labels = torch.stack(gt_labels)
        positive = (labels >= 0) & (labels != self.num_classes)
        num_positive = int(positive.sum())
        self._log_positive_anchors(num_positive, len(gt_labels))
        normalizer = self._ema_update("loss_normalizer", max(num_positive, 1), initial_value=100)
        loss_cls = focal_loss_of_levels(pred_logits, labels, self.focal_loss_alpha, self.focal_loss_gamma)
        loss_box_reg = _dense_box_regression_loss(
            anchors,
            self.box2box_transform,
            pred_anchor_deltas,
            gt_boxes,
            positive,
            box_reg_loss_type=self.box_reg_loss_type,
            smooth_l1_beta=self.smooth_l1_beta,
        )
        return {"loss_cls": loss_cls / normalizer, "loss_box_reg": loss_box_reg / normalizer}

    @torch.no_grad()
    def label_anchors(self, anchors: list[Boxes], gt_instances: list[Instances]) -> tuple[list[Tensor], list[Tensor]]:
        """Label every anchor of all levels, A in number, for each image.

        Args:
            anchors: for each level its ``Boxes``.
            gt_instances: for each image ``gt_boxes`` and ``gt_classes``.

        Returns:
            For each image int64 ``Tensor[A]`` of labels (class, K for background, -1 to ignore) and
            ``Tensor[A, 4]`` of matched boxes, which mean something for positive anchors only.
        """
        all_anchors = Boxes.cat(anchors)
        labelled = [self._label_image(all_anchors, instances) for instances in gt_instances]
        return [labels for labels, _ in labelled], [boxes for _, boxes in labelled]

    def _label_image(self, anchors: Boxes, instances: Instances) -> tuple[Tensor, Tensor]:
        if len(instances) == 0:
            background = torch.full((len(anchors),), self.num_classes, dtype=torch.int64, device=anchors.device)
            return background, torch.zeros_like(anchors.tensor)
        matches, match_labels = self.anchor_matcher(pairwise_iou(instances.gt_boxes, anchors))
        labels = instances.gt_classes[matches]
        labels = torch.where(match_labels == 0, self.num_classes, labels)
        labels = torch.where(match_labels == -1, -1, labels)
        return labels, instances.gt_boxes.tensor[matches]

    def scores_and_deltas(self, predictions: list[list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        """Sigmoid of the logits, and the deltas as they are; see :class:`DenseDetector`."""
        logits, deltas = self._transpose_dense_predictions(predictions, [self.num_classes, 4])
        return [level.sigmoid() for level in logits], deltas


def focal_loss_of_levels(pred_logits: list[Tensor], labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Summed focal loss of per-level logits ``Tensor[N, A_l, K]`` with labels ``Tensor[N, A]`` of all levels."""
    by_level = labels.split([level.shape[1] for level in pred_logits], dim=1)
    losses = [class_focal_loss(x, y, alpha, gamma) for x, y in zip(pred_logits, by_level, strict=True)]
    return torch.stack(losses).sum()
