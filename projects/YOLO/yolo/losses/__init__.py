"""Losses of single boxes and scores, and the targets of a batch; whole detection losses are in ``losses.detection``."""

from .anchor_points import anchor_points
from .bce import binary_cross_entropy, smoothed_one_hot
from .dfl import distribution_focal_loss, expected_distance
from .iou import (
    OVERLAPS,
    box_iou,
    complete_iou,
    distance_iou,
    efficient_iou,
    generalized_iou,
    scylla_iou,
)
from .targets import Targets
from .varifocal import varifocal_loss
