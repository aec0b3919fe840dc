"""Whole models: from batched inputs to losses or results."""

from detectron2.modeling.meta_arch.build import META_ARCH_REGISTRY, build_model
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.modeling.meta_arch.fcos import FCOS
from detectron2.modeling.meta_arch.rcnn import GeneralizedRCNN, ProposalNetwork
from detectron2.modeling.meta_arch.retinanet import RetinaNet

__all__ = [
    "DenseDetector",
    "FCOS",
    "GeneralizedRCNN",
    "META_ARCH_REGISTRY",
    "ProposalNetwork",
    "RetinaNet",
    "build_model",
]
