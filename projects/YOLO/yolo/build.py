"""Networks and heads from a config."""

from collections.abc import Sequence
from functools import partial

import torch

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.backbone import build_backbone

from .anchor_generator import YOLOAnchorGenerator, anchor_shapes
from .backbone_network import BACKBONE_FAMILY, BackboneNetwork
from .detection_network import DetectionNetwork
from .heads import AnchorBasedHead
from .heads.base import Anchors, DetectionHead
from .heads.grid import GridHeadSettings, build_grid_head
from .network import build_network

__all__ = ["build_detection_network", "build_head"]


def build_detection_network(cfg: CfgNode) -> DetectionNetwork:
    """The network that ``MODEL.YOLO.FAMILY`` and ``SIZE`` name, or a head on ``MODEL.BACKBONE.NAME``.

    Raises:
        KeyError: an unknown family, size or backbone.
        ValueError: anchors, feature maps or a kind of head that do not fit.
    """
    node = cfg.MODEL.YOLO
    if node.FAMILY != BACKBONE_FAMILY:
        return build_network(node.FAMILY, node.SIZE, node.NUM_CLASSES, len(cfg.MODEL.PIXEL_MEAN), node.ANCHORS)
    make_head = partial(build_head, cfg)
    return BackboneNetwork(build_backbone(cfg), make_head, node.HEAD.IN_FEATURES, cfg.MODEL.BACKBONE.NAME)


def build_head(cfg: CfgNode, channels: Sequence[int], strides: Sequence[int]) -> DetectionHead:
    """The head that ``MODEL.YOLO.HEAD`` describes, on feature maps of these channels and strides.

    Anchors are those of ``MODEL.ANCHOR_GENERATOR`` inside of ``GeneralizedRCNN``, else of ``MODEL.YOLO.ANCHORS``.

    Raises:
        ValueError: an unknown kind, or anchors that do not fit the feature maps.
    """
    node = cfg.MODEL.YOLO.HEAD
    settings = GridHeadSettings(
        kind=node.KIND,
        num_classes=cfg.MODEL.YOLO.NUM_CLASSES,
        reg_max=node.REG_MAX,
        hidden_channels=node.HIDDEN_CHANNELS,
        depthwise=node.DEPTHWISE,
        implicit=node.IMPLICIT,
        anchors=_anchors(cfg, strides) if node.KIND == "anchor_based" else None,
    )
    head = build_grid_head(channels, strides, settings)
    if isinstance(head, AnchorBasedHead) and cfg.MODEL.YOLO.ANCHORS:
        head.keep_anchors()
    return head


def _anchors(cfg: CfgNode, strides: Sequence[int]) -> Anchors:
    shapes = [ShapeSpec(stride=stride) for stride in strides]
    # Their numbers are read, also while a model is laid out on the meta device.
    with torch.device("cpu"):
        if cfg.MODEL.META_ARCHITECTURE == "YOLO":
            return anchor_shapes(YOLOAnchorGenerator(cfg, shapes))
        return anchor_shapes(build_anchor_generator(cfg, shapes))
