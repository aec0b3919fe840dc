"""Necks over any registered backbone."""

from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import build_resnet_backbone
from detectron2.utils.registry import registered

from .pafpn import PAFPN

__all__ = ["build_fpn_backbone", "build_pafpn_backbone", "build_resnet_pafpn_backbone"]


@BACKBONE_REGISTRY.register()
def build_fpn_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """``MODEL.YOLO.BACKBONE.BOTTOM_UP`` with the pyramid that ``MODEL.FPN`` describes."""
    return _fpn(cfg, _bottom_up(cfg, input_shape))


@BACKBONE_REGISTRY.register()
def build_pafpn_backbone(cfg: Any, input_shape: ShapeSpec) -> PAFPN:
    """:func:`build_fpn_backbone` with path aggregation; ``MODEL.FPN.NORM`` is that of its convolutions too."""
    return PAFPN(_fpn(cfg, _bottom_up(cfg, input_shape)), norm=cfg.MODEL.FPN.NORM)


@BACKBONE_REGISTRY.register()
def build_resnet_pafpn_backbone(cfg: Any, input_shape: ShapeSpec) -> PAFPN:
    """ResNet or ResNeXt with path aggregation, topped by a max pooling to p6 as ``build_resnet_fpn_backbone`` is."""
    pyramid = _fpn(cfg, build_resnet_backbone(cfg, input_shape))
    top_block = LastLevelMaxPool()
    top_block.in_feature = list(pyramid.output_shape())[-1]
    return PAFPN(pyramid, norm=cfg.MODEL.FPN.NORM, top_block=top_block)


def _bottom_up(cfg: Any, input_shape: ShapeSpec) -> Backbone:
    key = "MODEL.YOLO.BACKBONE.BOTTOM_UP"
    name = cfg.MODEL.YOLO.BACKBONE.BOTTOM_UP
    if name in (build_fpn_backbone.__name__, build_pafpn_backbone.__name__):
        raise ValueError(f"{key} is {name}, which is itself built on {key}: name a backbone without neck")
    return registered(BACKBONE_REGISTRY, name, key)(cfg, input_shape)


def _fpn(cfg: Any, bottom_up: Backbone) -> FPN:
    node = cfg.MODEL.FPN
    return FPN(
        bottom_up=bottom_up,
        in_features=node.IN_FEATURES,
        out_channels=node.OUT_CHANNELS,
        norm=node.NORM,
        fuse_type=node.FUSE_TYPE,
        use_relu=node.USE_RELU,
    )
