"""Models and their parts: backbones, anchors, proposal generators, heads, whole architectures."""

from detectron2.layers.shape_spec import ShapeSpec
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY, build_anchor_generator
from detectron2.modeling.backbone import (
    BACKBONE_REGISTRY,
    FPN,
    Backbone,
    ResNet,
    ResNetBlockBase,
    build_backbone,
    build_resnet_backbone,
    make_stage,
)
from detectron2.modeling.meta_arch import (
    FCOS,
    META_ARCH_REGISTRY,
    GeneralizedRCNN,
    ProposalNetwork,
    RetinaNet,
    build_model,
)
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.modeling.proposal_generator import (
    PROPOSAL_GENERATOR_REGISTRY,
    RPN_HEAD_REGISTRY,
    build_proposal_generator,
    build_rpn_head,
)
from detectron2.modeling.roi_heads import (
    ROI_BOX_HEAD_REGISTRY,
    ROI_HEADS_REGISTRY,
    ROI_MASK_HEAD_REGISTRY,
    BaseMaskRCNNHead,
    FastRCNNOutputLayers,
    ROIHeads,
    StandardROIHeads,
    build_box_head,
    build_mask_head,
    build_roi_heads,
)

__all__ = [
    "ANCHOR_GENERATOR_REGISTRY",
    "BACKBONE_REGISTRY",
    "Backbone",
    "BaseMaskRCNNHead",
    "FCOS",
    "FPN",
    "FastRCNNOutputLayers",
    "GeneralizedRCNN",
    "META_ARCH_REGISTRY",
    "PROPOSAL_GENERATOR_REGISTRY",
    "ProposalNetwork",
    "ROIHeads",
    "ROI_BOX_HEAD_REGISTRY",
    "ROI_HEADS_REGISTRY",
    "ROI_MASK_HEAD_REGISTRY",
    "RPN_HEAD_REGISTRY",
    "ResNet",
    "ResNetBlockBase",
    "RetinaNet",
    "ShapeSpec",
    "StandardROIHeads",
    "build_anchor_generator",
    "build_backbone",
    "build_box_head",
    "build_mask_head",
    "build_model",
    "build_proposal_generator",
    "build_resnet_backbone",
    "build_roi_heads",
    "build_rpn_head",
    "detector_postprocess",
    "make_stage",
]
