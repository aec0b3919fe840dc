"""A YOLO head in the place of RPN and of heads on regions, inside of ``GeneralizedRCNN``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.proposal_generator.build import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY
from detectron2.structures import Boxes, ImageList, Instances

from .backbone_network import head_inputs
from .build import build_head
from .criteria import build_criterion, loss_scale
from .decode import decode
from .heads.base import DetectionHead
from .losses.targets import Targets
from .postprocessing import Postprocessing

__all__ = ["YOLOHeads", "YOLOPassThrough"]


@PROPOSAL_GENERATOR_REGISTRY.register()
class YOLOPassThrough(nn.Module):
    """Proposes nothing: a head that looks at whole feature maps needs no regions."""

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> None:
        """
        Args:
            cfg, input_shape: of every proposal generator; not needed here.
        """
        super().__init__()

    def forward(
        self, images: ImageList, features: dict[str, Tensor], gt_instances: list[Instances] | None = None
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """For each image ``Instances`` without any, and no losses."""
        device = images.tensor.device
        boxes = [Boxes(torch.zeros(0, 4, device=device)) for _ in images.image_sizes]
        return [
            Instances(size, proposal_boxes=none, objectness_logits=torch.zeros(0, device=device))
            for size, none in zip(images.image_sizes, boxes, strict=True)
        ], {}


@ROI_HEADS_REGISTRY.register()
class YOLOHeads(nn.Module):
    """A head of :mod:`.heads` on the backbone's feature maps, with its loss; proposals are left alone."""

    @configurable
    def __init__(
        self,
        *,
        in_features: tuple[str, ...],
        head: DetectionHead,
        criterion: nn.Module,
        postprocessing: Postprocessing,
        loss_scale: float = 1.0,
    ) -> None:
        """
        Args:
            in_features: names of the feature maps that the head reads, from fine to coarse.
            head: from feature maps to raw predictions.
            criterion: from (raw predictions, :class:`Targets`) to a dict of losses, means over the images.
            postprocessing: from boxes and scores to detections.
            loss_scale: factor of all losses.
        """
        super().__init__()
        self.in_features = in_features
        self.head = head
        self.criterion = criterion
        self.postprocessing = postprocessing
        self.loss_scale = loss_scale

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Read ``MODEL.YOLO`` and, for anchor-based heads, ``MODEL.ANCHOR_GENERATOR``.

        Raises:
            KeyError: ``MODEL.YOLO`` is not there.
            ValueError: feature maps, anchors or a kind of head that do not fit.
        """
        if "YOLO" not in cfg.MODEL:
            raise KeyError("MODEL.YOLO: call detectron2.projects.yolo.add_yolo_config(cfg) before reading the config")
        inputs = head_inputs(input_shape, cfg.MODEL.YOLO.HEAD.IN_FEATURES)
        head = build_head(cfg, inputs.channels, inputs.strides)
        return {
            "in_features": inputs.names,
            "head": head,
            "criterion": build_criterion(cfg, head),
            "postprocessing": Postprocessing.from_config(cfg, head.head_kind),
            "loss_scale": loss_scale(cfg),
        }

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell, for each level."""
        return self.head.strides

    def predict_raw(self, features: dict[str, Tensor]) -> list[Tensor]:
        """Raw predictions of the head, ``Tensor[N, C, H, W]`` for each level, of feature maps by name."""
        return self.head([features[name] for name in self.in_features])

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """:func:`.decode.decode` in float32."""
        return decode(self.head, [level.float() for level in raw])

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Losses in training, detections otherwise.

        Args:
            images: their sizes are those of the detections.
            features: ``Tensor[N, C, H, W]`` by name.
            proposals: not looked at.
            targets: for each image ``gt_boxes`` and ``gt_classes``; in training only.

        Returns:
            in training the proposals and a dict of scalar losses; else for each image ``pred_boxes``, ``scores`` and
            ``pred_classes``, and no losses.

        Raises:
            ValueError: there are no targets in training.
        """
        raw = self.predict_raw(features)
        if self.training:
            if targets is None:
                raise ValueError("YOLOHeads needs targets in training")
            losses = self.criterion(raw, Targets.from_instances(targets))
            return proposals, {name: loss * self.loss_scale for name, loss in losses.items()}
        return self.postprocessing(*self.decode(raw), images.image_sizes), {}

    def forward_with_given_boxes(self, features: dict[str, Tensor], instances: list[Instances]) -> list[Instances]:
        """The instances as they are: there is no head that adds masks or the like to known boxes."""
        return instances
