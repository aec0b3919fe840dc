"""Region proposal network (Ren et al., "Faster R-CNN")."""

from typing import Any

import torch
from fvcore.common.registry import Registry  # noqa: F401  (public name of this module)
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.config import configurable
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import Conv2d, cat  # noqa: F401
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.backbone.features import feature_shapes
from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss, check_box_reg_loss_type
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator.build import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.proposal_generator.proposal_utils import (
    find_top_rpn_proposals,
    gather_rows,
    select_top_scores,
)
from detectron2.modeling.proposal_generator.rpn_head import RPN_HEAD_REGISTRY, StandardRPNHead, build_rpn_head
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures.boxes import Boxes, pairwise_iou
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage, has_event_storage
from detectron2.utils.memory import retry_if_cuda_oom

__all__ = [
    "PROPOSAL_GENERATOR_REGISTRY",
    "RPN",
    "RPN_HEAD_REGISTRY",
    "StandardRPNHead",
    "build_rpn_head",
]


@PROPOSAL_GENERATOR_REGISTRY.register()
class RPN(nn.Module):
    """Scores anchors and refines them to proposals.

    Args:
        in_features: names of the feature maps to use, from fine to coarse.
        head: features to (objectness logits, deltas), see :class:`StandardRPNHead`.
        anchor_generator: features to anchors.
        anchor_matcher: labels anchors by their IoU with the ground truth: 1 object, 0 background, -1 ignore.
        box2box_transform: encoding of proposals relative to anchors.
        batch_size_per_image: anchors of each image that enter the loss.
        positive_fraction: largest share of objects among them.
        pre_nms_topk, post_nms_topk: boxes kept before and after suppression, as (training, inference);
            before: for each level.
        nms_thresh: IoU of the suppression.
        min_box_size: proposals must exceed this many pixels in width and height.
        anchor_boundary_thresh: anchors that reach further than this many pixels out of the image are not
            trained on; negative: all are.
        loss_weight: of both losses, or by name ("loss_rpn_cls", "loss_rpn_loc").
        box_reg_loss_type: "smooth_l1", "giou", "diou" or "ciou".
        smooth_l1_beta: see :func:`smooth_l1_loss`.
    """

    @configurable
    def __init__(
        self,
        *,
        in_features: list[str],
        head: nn.Module,
        anchor_generator: nn.Module,
        anchor_matcher: Matcher,
        box2box_transform: Box2BoxTransform,
        batch_size_per_image: int,
        positive_fraction: float,
        pre_nms_topk: tuple[float, float],
        post_nms_topk: tuple[float, float],
        nms_thresh: float = 0.7,
        min_box_size: float = 0.0,
        anchor_boundary_thresh: float = -1.0,
        loss_weight: float | dict[str, float] = 1.0,
        box_reg_loss_type: str = "smooth_l1",
        smooth_l1_beta: float = 0.0,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.rpn_head = head
        self.anchor_generator = anchor_generator
        self.anchor_matcher = anchor_matcher
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.anchor_boundary_thresh = anchor_boundary_thresh
        self.box2box_transform = box2box_transform
        self.pre_nms_topk = dict(zip((True, False), pre_nms_topk, strict=True))  # by self.training
        self.post_nms_topk = dict(zip((True, False), post_nms_topk, strict=True))
        self.nms_thresh = nms_thresh
        self.min_box_size = float(min_box_size)
        if not isinstance(loss_weight, dict):
            loss_weight = {"loss_rpn_cls": loss_weight, "loss_rpn_loc": loss_weight}
        self.loss_weight = loss_weight
        self.box_reg_loss_type = check_box_reg_loss_type(box_reg_loss_type)
        self.smooth_l1_beta = smooth_l1_beta

    @classmethod
    def from_config(cls, cfg: Any, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Read ``MODEL.RPN`` and build head, anchors and matcher for the feature maps in ``IN_FEATURES``."""
        rpn = cfg.MODEL.RPN
        shapes = feature_shapes(input_shape, rpn.IN_FEATURES, "MODEL.RPN.IN_FEATURES")
        return {
            "in_features": rpn.IN_FEATURES,
            "head": build_rpn_head(cfg, shapes),
            "anchor_generator": build_anchor_generator(cfg, shapes),
            "anchor_matcher": Matcher(rpn.IOU_THRESHOLDS, rpn.IOU_LABELS, allow_low_quality_matches=True),
            "box2box_transform": Box2BoxTransform(weights=rpn.BBOX_REG_WEIGHTS),
            "batch_size_per_image": rpn.BATCH_SIZE_PER_IMAGE,
            "positive_fraction": rpn.POSITIVE_FRACTION,
            "pre_nms_topk": (rpn.PRE_NMS_TOPK_TRAIN, rpn.PRE_NMS_TOPK_TEST),
            "post_nms_topk": (rpn.POST_NMS_TOPK_TRAIN, rpn.POST_NMS_TOPK_TEST),
            "nms_thresh": rpn.NMS_THRESH,
            "min_box_size": cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE,
            "anchor_boundary_thresh": rpn.BOUNDARY_THRESH,
            "loss_weight": {
                "loss_rpn_cls": rpn.LOSS_WEIGHT,
                "loss_rpn_loc": rpn.BBOX_REG_LOSS_WEIGHT * rpn.LOSS_WEIGHT,
            },
            "box_reg_loss_type": rpn.BBOX_REG_LOSS_TYPE,
            "smooth_l1_beta": rpn.SMOOTH_L1_BETA,
        }

    def _subsample_labels(self, label: Tensor) -> Tensor:
        """Keep the labels of a random sample and set all others to -1, in place."""
        positives, negatives = subsample_labels(label, self.batch_size_per_image, self.positive_fraction, 0)
        return label.fill_(-1).index_fill_(0, positives, 1).index_fill_(0, negatives, 0)

    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Choose the anchors to train on.

        Args:
            anchors: of each level, A in all.
            gt_instances: for each image, with ``gt_boxes``.

        Returns:
            for each image int8 labels ``Tensor[A]`` (1 object, 0 background, -1 not in the sample) and matched
            ground truth boxes ``Tensor[A, 4]``, which mean something where the label is 1.
        """
        all_anchors = Boxes.cat(anchors)
        labels, matched_boxes = [], []
        for instances in gt_instances:
            gt_boxes = instances.gt_boxes
            quality = retry_if_cuda_oom(pairwise_iou)(gt_boxes, all_anchors)
            matches, label = retry_if_cuda_oom(self.anchor_matcher)(quality)
            del quality  # large; free it before the next image needs as much
            label = label.to(device=gt_boxes.device)
            if self.anchor_boundary_thresh >= 0:
                inside = all_anchors.inside_box(instances.image_size, self.anchor_boundary_thresh)
                label[~inside] = -1
            labels.append(self._subsample_labels(label))
            has_truth = len(gt_boxes) > 0
            matched_boxes.append(gt_boxes.tensor[matches] if has_truth else torch.zeros_like(all_anchors.tensor))
        return labels, matched_boxes

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Losses of the sampled anchors, divided by the size of a full sample.

        Args:
            anchors: of each level, A_l boxes.
            pred_objectness_logits: ``Tensor[N, A_l]`` for each level.
            gt_labels, gt_boxes: what :meth:`label_and_sample_anchors` returns.
            pred_anchor_deltas: ``Tensor[N, A_l, 4]`` for each level.

        Returns:
            scalars "loss_rpn_cls" and "loss_rpn_loc", weighted.
        """
        labels = torch.stack(gt_labels)
        num_images = len(gt_labels)
        positive, sampled = labels == 1, labels >= 0
        if has_event_storage():
            num_positive, num_sampled = torch.stack((positive.sum(), sampled.sum())).tolist()
            storage = get_event_storage()
            storage.put_scalar("rpn/num_pos_anchors", num_positive / num_images)
            storage.put_scalar("rpn/num_neg_anchors", (num_sampled - num_positive) / num_images)
        localization = _dense_box_regression_loss(
            anchors,
            self.box2box_transform,
            pred_anchor_deltas,
            gt_boxes,
            positive,
            box_reg_loss_type=self.box_reg_loss_type,
            smooth_l1_beta=self.smooth_l1_beta,
        )
        logits = cat(pred_objectness_logits, dim=1)[sampled]
        objectness = F.binary_cross_entropy_with_logits(logits, labels[sampled].to(logits.dtype), reduction="sum")
        normalizer = self.batch_size_per_image * num_images
        losses = {"loss_rpn_cls": objectness / normalizer, "loss_rpn_loc": localization / normalizer}
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    def forward(
        self, images: ImageList, features: dict[str, Tensor], gt_instances: list[Instances] | None = None
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Proposals of a batch and, in training, the losses.

        Args:
            images: N images; their sizes are used.
            features: feature maps by name, ``Tensor[N, C, H_l, W_l]``.
            gt_instances: for each image, with ``gt_boxes``; needed in training.

        Returns:
            for each image ``Instances`` with ``proposal_boxes`` and ``objectness_logits``, best first; and the
            losses by name, empty in inference.

        Raises:
            ValueError: in training without ground truth.
        """
        levels = [features[name] for name in self.in_features]
        anchors = self.anchor_generator(levels)
        logits, deltas = self.rpn_head(levels)
        logits = [_anchors_last(level, 1).flatten(1) for level in logits]
        deltas = [_anchors_last(level, self.anchor_generator.box_dim) for level in deltas]
        losses = {}
        if self.training:
            if gt_instances is None:
                raise ValueError("the RPN needs gt_instances in training")
            gt_labels, gt_boxes = self.label_and_sample_anchors(anchors, gt_instances)
            losses = self.losses(anchors, logits, gt_labels, deltas, gt_boxes)
        return self.predict_proposals(anchors, logits, deltas, images.image_sizes), losses

    @torch.no_grad()
    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Decode the best anchors and suppress duplicates, without gradients to the boxes.

        Args:
            anchors: of each level, A_l boxes.
            pred_objectness_logits: ``Tensor[N, A_l]`` for each level.
            pred_anchor_deltas: ``Tensor[N, A_l, 4]`` for each level.
            image_sizes: (height, width) of the N images.
        """
        top_k = self.pre_nms_topk[self.training]
        boxes, scores = [], []
        # Only what can be kept is decoded: at most top_k of the hundred thousands of anchors of a fine level.
        indices = select_top_scores(pred_objectness_logits, top_k)
        levels = zip(anchors, pred_objectness_logits, pred_anchor_deltas, indices, strict=True)
        for level_anchors, logits, deltas, index in levels:
            references = level_anchors.tensor[index]
            boxes.append(self.box2box_transform.apply_deltas(gather_rows(deltas, index), references))
            scores.append(logits.gather(1, index))
        return find_top_rpn_proposals(
            boxes,
            scores,
            image_sizes,
            self.nms_thresh,
            top_k,
            self.post_nms_topk[self.training],
            self.min_box_size,
            self.training,
        )


def _anchors_last(x: Tensor, box_dim: int) -> Tensor:
    """``Tensor[N, A * box_dim, H, W]`` to ``Tensor[N, H * W * A, box_dim]``, the order of the anchors."""
    batch, channels, height, width = x.shape
    return x.view(batch, channels // box_dim, box_dim, height, width).permute(0, 3, 4, 1, 2).flatten(1, 3)
