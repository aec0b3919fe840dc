"""Config keys of the project."""

from typing import Any

from detectron2.config import CfgNode

from .data.defaults import INPUT_YOLO
from .training.defaults import MODEL_YOLO_TRAINING

__all__ = ["MODEL_YOLO", "add_yolo_config"]

# Weights and settings of the losses, by kind of head; defaults are those of the published recipes.
_LOSS: dict[str, Any] = {
    "SUM_OVER_IMAGES": True,  # losses of a step are summed over its images, as YOLOv5's and YOLOv8's rates expect
    "ANCHOR_FREE": {
        "BOX_WEIGHT": 7.5,
        "CLS_WEIGHT": 0.5,
        "DFL_WEIGHT": 1.5,
        "OVERLAP": "ciou",
        "TOPK": 10,  # anchors an object may take
        "ALPHA": 0.5,  # exponent of the score in the metric of task alignment
        "BETA": 6.0,  # exponent of the overlap
    },
    "BRANCHES": {  # of heads with auxiliary predictions; weights at the first and the last iteration
        "MAIN_WEIGHT": [1.0, 1.0],
        "AUXILIARY_WEIGHT": [1.0, 1.0],
        "ONE_TO_ONE_CANDIDATES": 1,  # anchors an object may try for, where the main branch keeps one for each
    },
    "YOLOX": {
        "IOU_WEIGHT": 5.0,
        "CENTER_RADIUS": 1.5,  # strides around the centre of a box in which a cell is a candidate
        "L1_ITERS": 0,  # so many last iterations with an absolute error of the box outputs
    },
    "ANCHOR_BASED": {
        "BOX_WEIGHT": 0.05,  # weights are for 3 levels, 80 classes and 640 pixels, and scaled to the model
        "OBJ_WEIGHT": 1.0,
        "CLS_WEIGHT": 0.5,
        "OVERLAP": "ciou",
        "ANCHOR_RATIO": 4.0,  # sides of object and anchor differ by less than this factor
        "SMOOTHING": 0.0,  # of class targets
        "OTA": False,  # keep the cheapest pairs of prediction and object only, as YOLOv7 does
    },
}

# The head on a backbone: FAMILY "backbone", and ROI_HEADS.NAME "YOLOHeads".
_HEAD: dict[str, Any] = {
    "KIND": "anchor_free_dfl",  # or "yolox", "anchor_based", "end_to_end"
    "IN_FEATURES": [],  # names of the backbone's feature maps, from fine to coarse; all if there are none
    "REG_MAX": 16,  # bins of a box side, for "anchor_free_dfl" and "end_to_end"
    "HIDDEN_CHANNELS": 256,  # of the branches, for "yolox"
    "DEPTHWISE": False,  # separable convolutions in the branches, for "yolox"
    "IMPLICIT": False,  # implicit knowledge around the convolutions, for "anchor_based"
}

# Backbones that the project brings; each MODEL.BACKBONE.NAME reads its part.
_BACKBONE: dict[str, Any] = {
    "BOTTOM_UP": "build_resnet_backbone",  # under build_fpn_backbone and build_pafpn_backbone; a registered name
    "OUT_FEATURES": ["res3", "res4", "res5"],  # of all but ResNets: strides 4, 8, 16, 32 are res2 to res5
    "MOBILENET": {"VARIANT": "large", "WIDTH": 1.0, "NORM": "BN"},  # VARIANT, of version 3: "large" or "small"
    "CSP_DARKNET": {"FAMILY": "yolov5", "SIZE": "n"},  # whose backbone: "yolov3", "yolov5", "yolov8", "yolox"
    "IMPORTED": {"FILE": "", "FEATURES": []},  # .onnx or TorchScript, and its names of the feature maps
}

MODEL_YOLO: dict[str, Any] = {
    "FAMILY": "yolov8",  # in families.FAMILIES, or "backbone": HEAD on MODEL.BACKBONE.NAME
    "SIZE": "n",  # one of the family's
    "NUM_CLASSES": 80,
    "ANCHORS": [],  # [width, height] in pixels for each level and anchor; empty: the published ones
    "HEAD": _HEAD,
    "BACKBONE": _BACKBONE,
    "PAD_VALUE": 114.0,  # pixel value, 0..255, that fills images up to a multiple of the largest stride
    "SCORE_THRESH_TEST": 0.001,
    "NMS_THRESH_TEST": 0.7,
    "TOPK_CANDIDATES_TEST": 30000,  # of an image, before suppression
    "MULTI_LABEL_TEST": True,  # every class of an anchor is a candidate, not the best one only
    "CLASS_AGNOSTIC_NMS_TEST": False,  # boxes of different classes suppress each other too
    "LOSS": _LOSS,
    "TRAINING": MODEL_YOLO_TRAINING,
}


def add_yolo_config(cfg: CfgNode) -> None:
    """Add ``MODEL.YOLO`` and ``INPUT.YOLO`` with their defaults to a config, in place.

    Keys that are there already keep their values.
    """
    for parent, defaults in ((cfg.MODEL, MODEL_YOLO), (cfg.INPUT, INPUT_YOLO)):
        if "YOLO" not in parent:
            parent.YOLO = CfgNode(defaults)
