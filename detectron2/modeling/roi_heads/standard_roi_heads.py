"""Heads with a pooler of their own for boxes, masks and keypoints."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.modeling.backbone.features import feature_shapes
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures.boxes import Boxes
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances

from .base_roi_heads import ROI_HEADS_REGISTRY, ROIHeads, require_targets
from .box_head import build_box_head
from .fast_rcnn import FastRCNNOutputLayers
from .mask_head import build_mask_head
from .proposal_selection import select_foreground_proposals, select_proposals_with_visible_keypoints


@ROI_HEADS_REGISTRY.register()
class StandardROIHeads(ROIHeads):
    """Each task pools its own features and computes on its own; nothing is shared between them.

    The mask and keypoint branches are absent when their arguments are.

    Args:
        box_in_features, mask_in_features, keypoint_in_features: names of the feature maps of each branch.
        box_pooler, mask_pooler, keypoint_pooler: pool region features; without a mask or keypoint pooler the head
            gets the feature maps as a dict.
        box_head: from pooled features to one vector a region.
        box_predictor: classes and boxes from it, see :class:`FastRCNNOutputLayers`.
        mask_head, keypoint_head: from pooled features and instances to losses, or to instances with results.
        train_on_pred_boxes: train the mask and keypoint branches on predicted boxes instead of proposals.
        kwargs: arguments of :class:`ROIHeads`.
    """

    @configurable
    def __init__(
        self,
        *,
        box_in_features: list[str],
        box_pooler: ROIPooler,
        box_head: nn.Module,
        box_predictor: nn.Module,
        mask_in_features: list[str] | None = None,
        mask_pooler: ROIPooler | None = None,
        mask_head: nn.Module | None = None,
        keypoint_in_features: list[str] | None = None,
        keypoint_pooler: ROIPooler | None = None,
        keypoint_head: nn.Module | None = None,
        train_on_pred_boxes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_features = self.box_in_features = box_in_features
        self.box_pooler, self.box_head, self.box_predictor = box_pooler, box_head, box_predictor
        self.mask_on = mask_in_features is not None
        if self.mask_on:
            self.mask_in_features, self.mask_pooler, self.mask_head = mask_in_features, mask_pooler, mask_head
        self.keypoint_on = keypoint_in_features is not None
        if self.keypoint_on:
            self.keypoint_in_features = keypoint_in_features
            self.keypoint_pooler, self.keypoint_head = keypoint_pooler, keypoint_head
        self.train_on_pred_boxes = train_on_pred_boxes

    @classmethod
    def from_config(cls, cfg: Any, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Read what :class:`ROIHeads` reads, ``TRAIN_ON_PRED_BOXES``, and the settings of each branch.

        A subclass whose ``_init_*_head`` is no class method builds that branch itself.
        """
        arguments = super().from_config(cfg)
        arguments["train_on_pred_boxes"] = cfg.MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES
        for build_branch in (cls._init_box_head, cls._init_mask_head, cls._init_keypoint_head):
            if inspect.ismethod(build_branch):
                arguments.update(build_branch(cfg, input_shape))
        return arguments

    @classmethod
    def _init_box_head(cls, cfg: Any, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        in_features = cfg.MODEL.ROI_HEADS.IN_FEATURES
        pooler, pooled_shape = build_pooler(cfg.MODEL.ROI_BOX_HEAD, in_features, input_shape)
        box_head = build_box_head(cfg, pooled_shape)
        return {
            "box_in_features": in_features,
            "box_pooler": pooler,
            "box_head": box_head,
            "box_predictor": FastRCNNOutputLayers(cfg, box_head.output_shape),
        }

    @classmethod
    def _init_mask_head(cls, cfg: Any, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        if not cfg.MODEL.MASK_ON:
            return {}
        in_features = cfg.MODEL.ROI_HEADS.IN_FEATURES
        pooler, pooled_shape = build_pooler(cfg.MODEL.ROI_MASK_HEAD, in_features, input_shape)
        head = build_mask_head(cfg, pooled_shape)
        return {"mask_in_features": in_features, "mask_pooler": pooler, "mask_head": head}

    @classmethod
    def _init_keypoint_head(cls, cfg: Any, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        if not cfg.MODEL.KEYPOINT_ON:
            return {}
        raise NotImplementedError(
            "MODEL.KEYPOINT_ON: this version has no keypoint head to build from a config; "
            "set it to False, or pass keypoint_in_features, keypoint_pooler and keypoint_head to StandardROIHeads"
        )

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """See :class:`ROIHeads`."""
        if self.training:
            proposals = self.label_and_sample_proposals(proposals, require_targets(targets, type(self).__name__))
            losses = self._forward_box(features, proposals)
            # Trained on proposals, or with train_on_pred_boxes on the boxes that _forward_box has put there.
            losses.update(self._forward_mask(features, proposals))
            losses.update(self._forward_keypoint(features, proposals))
            return proposals, losses
        detections = self._forward_box(features, proposals)
        return self.forward_with_given_boxes(features, detections), {}

    def forward_with_given_boxes(self, features: dict[str, Tensor], instances: list[Instances]) -> list[Instances]:
        """Predict masks and keypoints for boxes that are there already; only in inference.

        Args:
            features: feature maps by name.
            instances: for each image ``pred_boxes`` and ``pred_classes``.

        Returns:
            ``instances`` with the results of the branches that exist.
        """
        if self.training:
            raise RuntimeError("forward_with_given_boxes is for inference: call model.eval() first")
        for image in instances:
            if not (image.has("pred_boxes") and image.has("pred_classes")):
                raise ValueError(f"given boxes need pred_boxes and pred_classes; fields: {[*image.get_fields()]}")
        instances = self._forward_mask(features, instances)
        return self._forward_keypoint(features, instances)

    def _forward_box(
        self, features: dict[str, Tensor], proposals: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        """Losses of the box branch in training, else detections."""
        maps = [features[name] for name in self.box_in_features]
        box_features = self.box_head(self.box_pooler(maps, [p.proposal_boxes for p in proposals]))
        predictions = self.box_predictor(box_features)
        if not self.training:
            return self.box_predictor.inference(predictions, proposals)[0]
        losses = self.box_predictor.losses(predictions, proposals)
        if self.train_on_pred_boxes:
            with torch.no_grad():
                boxes = self.box_predictor.predict_boxes_for_gt_classes(predictions, proposals)
            for image, image_boxes in zip(proposals, boxes, strict=True):
                image.proposal_boxes = Boxes(image_boxes)
        return losses

    def _forward_mask(
        self, features: dict[str, Tensor], instances: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        """Losses of the mask branch on foreground proposals in training, else instances with ``pred_masks``."""
        if not self.mask_on:
            return {} if self.training else instances
        if self.training:
            instances, _ = select_foreground_proposals(instances, self.num_classes)
        pooled = self._pool(features, self.mask_in_features, self.mask_pooler, instances)
        return self.mask_head(pooled, instances)

    def _forward_keypoint(
        self, features: dict[str, Tensor], instances: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        """Losses of the keypoint branch in training, else instances with ``pred_keypoints``."""
        if not self.keypoint_on:
            return {} if self.training else instances
        if self.training:
            foreground, _ = select_foreground_proposals(instances, self.num_classes)
            instances = select_proposals_with_visible_keypoints(foreground)
        pooled = self._pool(features, self.keypoint_in_features, self.keypoint_pooler, instances)
        return self.keypoint_head(pooled, instances)

    def _pool(
        self,
        features: dict[str, Tensor],
        names: list[str],
        pooler: ROIPooler | None,
        instances: list[Instances],
    ) -> Tensor | dict[str, Tensor]:
        if pooler is None:
            return {name: features[name] for name in names}
        boxes = [i.proposal_boxes if self.training else i.pred_boxes for i in instances]
        return pooler([features[name] for name in names], boxes)


def build_pooler(
    settings: Any, in_features: list[str], input_shape: dict[str, ShapeSpec]
) -> tuple[ROIPooler, ShapeSpec]:
    """A pooler after the ``POOLER_*`` keys of one head's settings, and the shape of what it gives.

    Raises:
        ValueError: when the feature maps differ in channels, or there is none of a name.
    """
    shapes = feature_shapes(input_shape, in_features, "MODEL.ROI_HEADS.IN_FEATURES")
    channels = {name: shape.channels for name, shape in zip(in_features, shapes, strict=True)}
    if len(set(channels.values())) != 1:
        raise ValueError(f"pooling over several feature maps needs the same channels in each, got {channels}")
    resolution = settings.POOLER_RESOLUTION
    pooler = ROIPooler(
        output_size=resolution,
        scales=tuple(1.0 / shape.stride for shape in shapes),
        sampling_ratio=settings.POOLER_SAMPLING_RATIO,
        pooler_type=settings.POOLER_TYPE,
    )
    return pooler, ShapeSpec(channels=channels[in_features[0]], height=resolution, width=resolution)
