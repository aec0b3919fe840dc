"""The backbones of the YOLO families, without neck and head (CSPNet, arXiv:1911.11929; YOLOv3 for Darknet-53)."""

from typing import Any

from torch import nn

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY

from ..families import get_family
from ..network import build_row
from .stages import StagedBackbone, stage_name

__all__ = ["CSPDarknet", "build_csp_darknet_backbone"]

# The last rows of strides 4, 8, 16 and 32 in front of the neck.
_ENDS: dict[str, tuple[int, int, int, int]] = {
    "yolov3": (4, 6, 8, 10),
    "yolov5": (2, 4, 6, 9),
    "yolov8": (2, 4, 6, 9),
    "yolox": (2, 4, 6, 9),
}


class CSPDarknet(StagedBackbone):
    """The first rows of a family's table."""

    def __init__(self, family: str, size: str, out_features: list[str], in_channels: int = 3) -> None:
        """
        Args:
            family: "yolov3" (Darknet-53), "yolov5", "yolov8" or "yolox".
            size: one of the family's, with strides up to 32.
            out_features: names of the feature maps, of res2, res3, res4, res5.
            in_channels: channels of the input image.

        Raises:
            KeyError: there is no such size.
            ValueError: a family or size whose backbone is not among these, or an unknown feature map.
        """
        ends = _ENDS.get(family)
        if ends is None:
            raise ValueError(f"MODEL.YOLO.BACKBONE.CSP_DARKNET.FAMILY is {family!r}; allowed are {', '.join(_ENDS)}")
        table = get_family(family, size)
        layout, scale = table.layout(size), table.scales[size]
        if max(layout.head.strides) != 32 or len(layout.head.strides) != 3:
            raise ValueError(f"size {size!r} of {family} has no stages of strides 4, 8, 16 and 32 alone")
        layers: list[nn.Module] = []
        widths = [in_channels]
        for row in layout.rows[: ends[-1] + 1]:
            assert row.sources == (-1,)
            module, width = build_row(row, widths[-1:], scale)
            layers.append(module)
            widths.append(width)
        strides = (4, 8, 16, 32)
        found = {stage_name(stride): (end, widths[end + 1], stride) for end, stride in zip(ends, strides, strict=True)}
        super().__init__(layers, found, out_features)


@BACKBONE_REGISTRY.register()
def build_csp_darknet_backbone(cfg: Any, input_shape: ShapeSpec) -> CSPDarknet:
    """The backbone that ``MODEL.YOLO.BACKBONE.CSP_DARKNET`` names."""
    node = cfg.MODEL.YOLO.BACKBONE
    return CSPDarknet(node.CSP_DARKNET.FAMILY, node.CSP_DARKNET.SIZE, node.OUT_FEATURES, input_shape.channels or 3)
