"""YOLO detectors on the framework: networks, assigners, losses, and what training and evaluation need."""

from . import backbones
from .anchor_generator import YOLOAnchorGenerator
from .config import add_yolo_config
from .meta_arch import YOLO
from .roi_heads import YOLOHeads, YOLOPassThrough

add_config = add_yolo_config  # the name that detectron2.projects looks for
