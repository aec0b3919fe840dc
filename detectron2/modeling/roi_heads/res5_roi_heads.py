"""Heads of the C4 models: the backbone's last stage runs on every region."""

from typing import Any

from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import cat
from detectron2.modeling.backbone.resnet import BottleneckBlock, ResNet
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures.boxes import Boxes
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances

from .base_roi_heads import ROI_HEADS_REGISTRY, ROIHeads, require_targets
from .fast_rcnn import FastRCNNOutputLayers
from .mask_head import build_mask_head
from .proposal_selection import select_foreground_proposals
from .standard_roi_heads import build_pooler

# Channels of res5 relative to res2, which doubles three times on the way.
_RES5_WIDENING = 8


@ROI_HEADS_REGISTRY.register()
class Res5ROIHeads(ROIHeads):
    """Boxes and masks share region features from the residual stage "res5" ("Mask R-CNN", figure 4 left).

    Args:
        in_features: name of the feature map, one.
        pooler: pools region features from it.
        res5: the stage that runs on them.
        box_predictor: classes and boxes from the spatial mean of its output.
        mask_head: masks from its output; without it there is no mask branch.
        kwargs: arguments of :class:`ROIHeads`.
    """

    @configurable
    def __init__(
        self,
        *,
        in_features: list[str],
        pooler: ROIPooler,
        res5: nn.Module,
        box_predictor: nn.Module,
        mask_head: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_features = in_features
        self.pooler = pooler
        # A list of layers is what some callers give.
        self.res5 = nn.Sequential(*res5) if isinstance(res5, list | tuple) else res5
        self.box_predictor = box_predictor
        self.mask_on = mask_head is not None
        if self.mask_on:
            self.mask_head = mask_head

    @classmethod
    def from_config(cls, cfg: Any, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Read what :class:`ROIHeads` reads, ``MODEL.ROI_BOX_HEAD``, ``MODEL.RESNETS`` and the mask head.

        Raises:
            ValueError: for more than one feature map.
            NotImplementedError: for keypoints, which need pooled features of their own.
        """
        in_features = cfg.MODEL.ROI_HEADS.IN_FEATURES
        if len(in_features) != 1:
            raise ValueError(f"Res5ROIHeads works on one feature map; MODEL.ROI_HEADS.IN_FEATURES is {in_features}")
        if cfg.MODEL.KEYPOINT_ON:
            raise NotImplementedError("Res5ROIHeads has no keypoint branch: set MODEL.KEYPOINT_ON to False")
        pooler, pooled_shape = build_pooler(cfg.MODEL.ROI_BOX_HEAD, in_features, input_shape)
        res5, out_channels = cls._build_res5_block(cfg)
        arguments = {
            **super().from_config(cfg),
            "in_features": in_features,
            "pooler": pooler,
            "res5": res5,
            "box_predictor": FastRCNNOutputLayers(cfg, ShapeSpec(channels=out_channels, height=1, width=1)),
        }
        if cfg.MODEL.MASK_ON:
            # res5 halves the resolution of the pooled features
            side = (pooled_shape.height + 1) // 2
            arguments["mask_head"] = build_mask_head(cfg, ShapeSpec(channels=out_channels, width=side, height=side))
        return arguments

    @classmethod
    def _build_res5_block(cls, cfg: Any) -> tuple[nn.Sequential, int]:
        """The stage and its number of output channels."""
        settings = cfg.MODEL.RESNETS
        if settings.DEFORM_ON_PER_STAGE[-1]:
            raise ValueError(
                "Res5ROIHeads has no deformable res5: set the last of RESNETS.DEFORM_ON_PER_STAGE to False"
            )
        out_channels = settings.RES2_OUT_CHANNELS * _RES5_WIDENING
        blocks = ResNet.make_stage(
            BottleneckBlock,
            3,
            stride_per_block=[2, 1, 1],
            in_channels=out_channels // 2,
            bottleneck_channels=settings.NUM_GROUPS * settings.WIDTH_PER_GROUP * _RES5_WIDENING,
            out_channels=out_channels,
            num_groups=settings.NUM_GROUPS,
            norm=settings.NORM,
            stride_in_1x1=settings.STRIDE_IN_1X1,
        )
        return nn.Sequential(*blocks), out_channels

    def _shared_roi_transform(self, features: list[Tensor], boxes: list[Boxes]) -> Tensor:
        """Features of the regions of all images, ``Tensor[R, C, H, W]``."""
        return self.res5(self.pooler(features, boxes))

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
        maps = [features[name] for name in self.in_features]
        box_features = self._shared_roi_transform(maps, [p.proposal_boxes for p in proposals])
        predictions = self.box_predictor(box_features.mean(dim=[2, 3]))
        if not self.training:
            detections, _ = self.box_predictor.inference(predictions, proposals)
            return self.forward_with_given_boxes(features, detections), {}
        losses = self.box_predictor.losses(predictions, proposals)
        if self.mask_on:
            foreground, chosen = select_foreground_proposals(proposals, self.num_classes)
            losses.update(self.mask_head(box_features[cat(chosen)], foreground))
        return [], losses

    def forward_with_given_boxes(self, features: dict[str, Tensor], instances: list[Instances]) -> list[Instances]:
        """Predict masks for boxes that are there already; only in inference.

        Args:
            features: feature maps by name.
            instances: for each image ``pred_boxes`` and ``pred_classes``.

        Returns:
            ``instances``, with ``pred_masks`` where there is a mask branch.
        """
        if self.training:
            raise RuntimeError("forward_with_given_boxes is for inference: call model.eval() first")
        for image in instances:
            if not (image.has("pred_boxes") and image.has("pred_classes")):
                raise ValueError(f"given boxes need pred_boxes and pred_classes; fields: {[*image.get_fields()]}")
        if not self.mask_on:
            return instances
        maps = [features[name] for name in self.in_features]
        return self.mask_head(self._shared_roi_transform(maps, [i.pred_boxes for i in instances]), instances)
