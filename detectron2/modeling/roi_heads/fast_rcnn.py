"""Classification and box regression of regions: the output layers of Fast R-CNN."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.nms import batched_nms  # noqa: F401  (public name of this module)
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import cat, cross_entropy, nonzero_tuple
from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss, check_box_reg_loss_type
from detectron2.modeling.weight_init import normal_fill
from detectron2.structures.boxes import Boxes  # noqa: F401
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage  # noqa: F401

from .classification_losses import (
    _log_classification_stats,
    sample_federated_classes,
    sigmoid_classification_loss,
)
from .fast_rcnn_inference import fast_rcnn_inference, fast_rcnn_inference_single_image  # noqa: F401

__all__ = ["FastRCNNOutputLayers", "fast_rcnn_inference"]

logger = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    if name == "get_fed_loss_cls_weights":  # at first use, as the data package is expensive to import
        from detectron2.data.detection_utils import get_fed_loss_cls_weights

        return get_fed_loss_cls_weights
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class FastRCNNOutputLayers(nn.Module):
    """Two linear layers on the features of each region: K + 1 class scores and box deltas.

    Args:
        input_shape: shape of a region's features; they are flattened.
        box2box_transform: encoding of boxes relative to proposals.
        num_classes: number of classes K without background.
        test_score_thresh, test_nms_thresh, test_topk_per_image: see :func:`fast_rcnn_inference_single_image`.
        cls_agnostic_bbox_reg: predict one box for a region instead of one for each class.
        smooth_l1_beta, box_reg_loss_type: see :func:`_dense_box_regression_loss`.
        loss_weight: one factor for all losses, or a dict with factors of "loss_cls" and "loss_box_reg".
        use_fed_loss: count only sampled classes in the classification loss; needs ``use_sigmoid_ce``.
        use_sigmoid_ce: independent binary classification instead of a softmax.
        get_fed_loss_cls_weights: gives the class weights, ``Tensor[K]``, of the sampling of ``use_fed_loss``.
        fed_loss_num_classes: number of classes sampled for it.

    Raises:
        ValueError: for an unknown ``box_reg_loss_type``, or a federated loss without ``use_sigmoid_ce`` or weights.
    """

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        box2box_transform: Box2BoxTransform,
        num_classes: int,
        test_score_thresh: float = 0.0,
        test_nms_thresh: float = 0.5,
        test_topk_per_image: int = 100,
        cls_agnostic_bbox_reg: bool = False,
        smooth_l1_beta: float = 0.0,
        box_reg_loss_type: str = "smooth_l1",
        loss_weight: float | dict[str, float] = 1.0,
        use_fed_loss: bool = False,
        use_sigmoid_ce: bool = False,
        get_fed_loss_cls_weights: Callable[[], Tensor] | None = None,
        fed_loss_num_classes: int = 50,
    ) -> None:
        super().__init__()
        if isinstance(input_shape, int):
            input_shape = ShapeSpec(channels=input_shape)
        self.num_classes = num_classes
        features = input_shape.channels * (input_shape.width or 1) * (input_shape.height or 1)
        self.cls_score = nn.Linear(features, num_classes + 1)
        num_boxes = 1 if cls_agnostic_bbox_reg else num_classes
        box_dim = len(box2box_transform.weights)
        self.bbox_pred = nn.Linear(features, num_boxes * box_dim)
        for layer, std in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            normal_fill(layer, std)

        self.box2box_transform = box2box_transform
        self.smooth_l1_beta = smooth_l1_beta
        self.box_reg_loss_type = check_box_reg_loss_type(box_reg_loss_type)
        self.test_score_thresh = test_score_thresh
        self.test_nms_thresh = test_nms_thresh
        self.test_topk_per_image = test_topk_per_image
        if not isinstance(loss_weight, dict):
            loss_weight = {"loss_cls": loss_weight, "loss_box_reg": loss_weight}
        self.loss_weight = loss_weight
        self.use_sigmoid_ce = use_sigmoid_ce
        self.use_fed_loss = use_fed_loss
        self.fed_loss_num_classes = fed_loss_num_classes
        if use_fed_loss:
            self._register_federated_weights(get_fed_loss_cls_weights)

    def _register_federated_weights(self, get_weights: Callable[[], Tensor] | None) -> None:
        if not self.use_sigmoid_ce:
            raise ValueError(
                "MODEL.ROI_BOX_HEAD.USE_FED_LOSS needs independent classes: set USE_SIGMOID_CE to True too"
            )
        if get_weights is None:
            raise ValueError("use_fed_loss=True needs get_fed_loss_cls_weights")
        weights = get_weights()
        if len(weights) != self.num_classes:
            raise ValueError(f"{len(weights)} federated class weights for num_classes={self.num_classes}")
        self.register_buffer("fed_loss_cls_weights", weights, persistent=False)

    @classmethod
    def from_config(cls, cfg: Any, input_shape: ShapeSpec) -> dict[str, Any]:
        """Read ``MODEL.ROI_BOX_HEAD``, ``MODEL.ROI_HEADS`` and ``TEST.DETECTIONS_PER_IMAGE``."""
        box_head, roi_heads = cfg.MODEL.ROI_BOX_HEAD, cfg.MODEL.ROI_HEADS

        def federated_weights() -> Tensor:
            from detectron2.data.detection_utils import get_fed_loss_cls_weights

            return get_fed_loss_cls_weights(cfg.DATASETS.TRAIN, box_head.FED_LOSS_FREQ_WEIGHT_POWER)

        return {
            "input_shape": input_shape,
            "box2box_transform": Box2BoxTransform(weights=box_head.BBOX_REG_WEIGHTS),
            "num_classes": roi_heads.NUM_CLASSES,
            "cls_agnostic_bbox_reg": box_head.CLS_AGNOSTIC_BBOX_REG,
            "smooth_l1_beta": box_head.SMOOTH_L1_BETA,
            "test_score_thresh": roi_heads.SCORE_THRESH_TEST,
            "test_nms_thresh": roi_heads.NMS_THRESH_TEST,
            "test_topk_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
            "box_reg_loss_type": box_head.BBOX_REG_LOSS_TYPE,
            "loss_weight": {"loss_box_reg": box_head.BBOX_REG_LOSS_WEIGHT},
            "use_fed_loss": box_head.USE_FED_LOSS,
            "use_sigmoid_ce": box_head.USE_SIGMOID_CE,
            "get_fed_loss_cls_weights": federated_weights,
            "fed_loss_num_classes": box_head.FED_LOSS_NUM_CLASSES,
        }

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predict for each region.

        Args:
            x: ``Tensor[R, ...]``, features of the regions of all images.

        Returns:
            Class logits ``Tensor[R, K + 1]``, background last, and deltas ``Tensor[R, K * 4]`` (or ``[R, 4]``).
        """
        x = x.flatten(1) if x.dim() > 2 else x
        return self.cls_score(x), self.bbox_pred(x)

    def losses(self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            predictions: what ``forward`` returned for the regions of all images.
            proposals: for each image its sampled proposals with ``proposal_boxes``, ``gt_classes`` and, where any
                is foreground, ``gt_boxes``.

        Returns:
            "loss_cls" and "loss_box_reg".
        """
        logits, deltas = predictions
        gt_classes = cat([p.gt_classes for p in proposals]) if proposals else logits.new_empty(0, dtype=torch.int64)
        _log_classification_stats(logits, gt_classes)
        boxes, gt_boxes = self._boxes_and_targets(proposals, deltas)
        if self.use_sigmoid_ce:
            loss_cls = self.sigmoid_cross_entropy_loss(logits, gt_classes)
        else:
            loss_cls = self.softmax_cross_entropy_loss(logits, gt_classes)
        losses = {"loss_cls": loss_cls, "loss_box_reg": self.box_reg_loss(boxes, gt_boxes, deltas, gt_classes)}
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    def _boxes_and_targets(self, proposals: list[Instances], like: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes of all proposals and their targets; where an image has no ground truth, the boxes stand for them."""
        if not proposals:
            empty = like.new_empty(0, 4)
            return empty, empty
        boxes = cat([p.proposal_boxes.tensor for p in proposals])
        targets = cat([(p.gt_boxes if p.has("gt_boxes") else p.proposal_boxes).tensor for p in proposals])
        return boxes, targets

    def softmax_cross_entropy_loss(self, pred_class_logits: Tensor, gt_classes: Tensor) -> Tensor:
        """Mean cross entropy over regions, of logits ``Tensor[R, K + 1]``; 0 without regions."""
        return cross_entropy(pred_class_logits, gt_classes, reduction="mean")

    def sigmoid_cross_entropy_loss(self, pred_class_logits: Tensor, gt_classes: Tensor) -> Tensor:
        """See :func:`sigmoid_classification_loss`; only over sampled classes with ``use_fed_loss``."""
        mask = None
        if self.use_fed_loss:
            sampled = self.get_fed_loss_classes(
                gt_classes, self.fed_loss_num_classes, self.num_classes, self.fed_loss_cls_weights
            )
            mask = pred_class_logits.new_zeros(self.num_classes + 1)
            mask[sampled] = 1
            mask = mask[: self.num_classes]
        return sigmoid_classification_loss(pred_class_logits, gt_classes, mask)

    def get_fed_loss_classes(
        self, gt_classes: Tensor, num_fed_loss_classes: int, num_classes: int, weight: Tensor | None
    ) -> Tensor:
        """See :func:`sample_federated_classes`."""
        return sample_federated_classes(gt_classes, num_fed_loss_classes, num_classes, weight)

    def box_reg_loss(self, proposal_boxes: Tensor, gt_boxes: Tensor, pred_deltas: Tensor, gt_classes: Tensor) -> Tensor:
        """Regression loss of the foreground, divided by the number of all regions.

        Dividing by all regions keeps the weight of a foreground region equal whatever their number; it is about
        what a mean over the foreground, with a fixed share of it in each image, would give.

        Args:
            proposal_boxes, gt_boxes: ``Tensor[R, 4]``.
            pred_deltas: ``Tensor[R, 4]`` or ``Tensor[R, K * 4]``.
            gt_classes: ``Tensor[R]`` of labels, K being background.
        """
        box_dim = proposal_boxes.shape[1]
        foreground = nonzero_tuple((gt_classes >= 0) & (gt_classes < self.num_classes))[0]
        deltas = pred_deltas[foreground]
        if pred_deltas.shape[1] != box_dim:
            of_class = gt_classes[foreground]
            deltas = _row_of_class(deltas.unflatten(1, (self.num_classes, box_dim)), of_class)
        loss = _dense_box_regression_loss(
            [proposal_boxes[foreground]],
            self.box2box_transform,
            [deltas.unsqueeze(0)],
            [gt_boxes[foreground]],
            torch.ones(1, len(foreground), dtype=torch.bool, device=deltas.device),
            self.box_reg_loss_type,
            self.smooth_l1_beta,
        )
        return loss / max(gt_classes.numel(), 1)

    def inference(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """Detections of every image; arguments as in :meth:`losses`, result as of :func:`fast_rcnn_inference`.

        Raises:
            FloatingPointError: for predictions that are NaN.
        """
        if any(torch.isnan(tensor.sum(dtype=torch.float32)) for tensor in predictions):
            raise FloatingPointError(
                f"{type(self).__name__} predicted NaN: the model's weights are broken, or training has diverged"
            )
        return fast_rcnn_inference(
            self.predict_boxes(predictions, proposals),
            self.predict_probs(predictions, proposals),
            [p.image_size for p in proposals],
            self.test_score_thresh,
            self.test_nms_thresh,
            self.test_topk_per_image,
        )

    def predict_boxes_for_gt_classes(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[Tensor, ...]:
        """For each image ``Tensor[R, 4]``: each proposal's box predicted for its true class.

        Background proposals get the box of the last class.
        """
        chosen = []
        for boxes, p in zip(self.predict_boxes(predictions, proposals), proposals, strict=True):
            by_class = boxes.unflatten(1, (-1, p.proposal_boxes.tensor.shape[1]))
            chosen.append(_row_of_class(by_class, p.gt_classes.clamp(0, by_class.shape[1] - 1)))
        return tuple(chosen)

    def predict_boxes(self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]) -> tuple[Tensor, ...]:
        """For each image the boxes of all classes, ``Tensor[R, K * 4]`` (or ``[R, 4]``), XYXY in pixels."""
        if not proposals:
            return ()
        _, deltas = predictions
        references = cat([p.proposal_boxes.tensor for p in proposals])
        return self.box2box_transform.apply_deltas(deltas, references).split([len(p) for p in proposals])

    def predict_probs(self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]) -> tuple[Tensor, ...]:
        """For each image the probabilities ``Tensor[R, K + 1]``; the background column last."""
        logits, _ = predictions
        probabilities = logits.sigmoid() if self.use_sigmoid_ce else logits.softmax(dim=-1)
        return probabilities.split([len(p) for p in proposals])


def _row_of_class(by_class: Tensor, classes: Tensor) -> Tensor:
    """From ``Tensor[R, K, ...]`` the entry of each row's class, ``Tensor[R, ...]``."""
    return by_class[torch.arange(len(classes), device=classes.device), classes]
