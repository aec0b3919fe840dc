"""Second stage of region-based detectors: registry, base class and the standard heads."""

import logging

from detectron2.config import configurable  # noqa: F401
from detectron2.layers.shape_spec import ShapeSpec  # noqa: F401
from detectron2.layers.wrappers import nonzero_tuple  # noqa: F401
from detectron2.modeling.backbone.resnet import BottleneckBlock, ResNet  # noqa: F401
from detectron2.modeling.matcher import Matcher  # noqa: F401
from detectron2.modeling.poolers import ROIPooler  # noqa: F401
from detectron2.modeling.proposal_generator.proposal_utils import add_ground_truth_to_proposals  # noqa: F401
from detectron2.modeling.sampling import subsample_labels  # noqa: F401
from detectron2.structures.boxes import Boxes, pairwise_iou  # noqa: F401
from detectron2.structures.image_list import ImageList  # noqa: F401
from detectron2.structures.instances import Instances  # noqa: F401
from detectron2.utils.events import get_event_storage  # noqa: F401
from detectron2.utils.registry import Registry  # noqa: F401

from .base_roi_heads import ROI_HEADS_REGISTRY, ROIHeads, build_roi_heads
from .box_head import build_box_head  # noqa: F401
from .fast_rcnn import FastRCNNOutputLayers  # noqa: F401
from .mask_head import build_mask_head  # noqa: F401
from .proposal_selection import select_foreground_proposals, select_proposals_with_visible_keypoints
from .res5_roi_heads import Res5ROIHeads
from .standard_roi_heads import StandardROIHeads

__all__ = [
    "ROIHeads",
    "ROI_HEADS_REGISTRY",
    "Res5ROIHeads",
    "StandardROIHeads",
    "build_roi_heads",
    "select_foreground_proposals",
    "select_proposals_with_visible_keypoints",
]

logger = logging.getLogger(__name__)
