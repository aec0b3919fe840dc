"""Backbones by name."""

from typing import Any

from fvcore.common.registry import Registry

from detectron2.layers.shape_spec import ShapeSpec
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.utils.registry import registered

BACKBONE_REGISTRY = Registry("BACKBONE")
BACKBONE_REGISTRY.__doc__ = """Callables ``(cfg, input_shape: ShapeSpec) -> Backbone`` by name."""


def build_backbone(cfg: Any, input_shape: ShapeSpec | None = None) -> Backbone:
    """Build the backbone that ``MODEL.BACKBONE.NAME`` names.

    Args:
        cfg: the config.
        input_shape: of the images; by default one channel for each entry of ``MODEL.PIXEL_MEAN``.

    Raises:
        TypeError: when the registered callable returns something that is no :class:`Backbone`.
    """
    name = cfg.MODEL.BACKBONE.NAME
    if input_shape is None:
        input_shape = ShapeSpec(channels=len(cfg.MODEL.PIXEL_MEAN))
    backbone = registered(BACKBONE_REGISTRY, name, "MODEL.BACKBONE.NAME")(cfg, input_shape)
    if not isinstance(backbone, Backbone):
        raise TypeError(f"MODEL.BACKBONE.NAME {name} returned a {type(backbone).__name__}, which is no Backbone")
    return backbone
