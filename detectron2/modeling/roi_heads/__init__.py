"""Heads that classify and refine region proposals."""

from .box_head import ROI_BOX_HEAD_REGISTRY, FastRCNNConvFCHead, build_box_head
from .fast_rcnn import FastRCNNOutputLayers
from .mask_head import ROI_MASK_HEAD_REGISTRY, BaseMaskRCNNHead, MaskRCNNConvUpsampleHead, build_mask_head
from .roi_heads import (
    ROI_HEADS_REGISTRY,
    Res5ROIHeads,
    ROIHeads,
    StandardROIHeads,
    build_roi_heads,
    select_foreground_proposals,
)

__all__ = [
    "BaseMaskRCNNHead",
    "FastRCNNConvFCHead",
    "FastRCNNOutputLayers",
    "MaskRCNNConvUpsampleHead",
    "ROIHeads",
    "ROI_BOX_HEAD_REGISTRY",
    "ROI_HEADS_REGISTRY",
    "ROI_MASK_HEAD_REGISTRY",
    "Res5ROIHeads",
    "StandardROIHeads",
    "build_box_head",
    "build_mask_head",
    "build_roi_heads",
    "select_foreground_proposals",
]
