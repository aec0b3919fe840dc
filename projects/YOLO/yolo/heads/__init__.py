"""Heads: the last layers of a network, which turn feature maps into raw predictions."""

from .anchor_based import AnchorBasedHead
from .anchor_free import AnchorFreeHead
from .base import DetectionHead, HeadKind
from .branches import BranchStyle
from .end_to_end import EndToEndHead
from .yolox import YOLOXHead
