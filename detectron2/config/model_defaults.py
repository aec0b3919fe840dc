"""Default values of the keys below ``MODEL``, one constant for each kind of part."""

from typing import Any

# Backbones. Feature names: res2..res5 have strides 4..32, p2..p7 strides 4..128.
BACKBONES: dict[str, dict[str, Any]] = {
    "BACKBONE": {
        "NAME": "build_resnet_backbone",  # in BACKBONE_REGISTRY
        "FREEZE_AT": 2,  # stages that are not trained, the stem counted as 1; 0 trains all
    },
    "RESNETS": {
        "DEPTH": 50,  # 18, 34, 50, 101 or 152
        "OUT_FEATURES": ["res4"],
        "NORM": "FrozenBN",
        "STEM_OUT_CHANNELS": 64,
        "RES2_OUT_CHANNELS": 256,  # 64 for depth 18 and 34
        "NUM_GROUPS": 1,  # ResNeXt: number of groups
        "WIDTH_PER_GROUP": 64,  # ResNeXt: channels of one group in res2
        "STRIDE_IN_1X1": True,  # where a bottleneck strides: MSRA weights in the 1x1, torchvision's in the 3x3
        "RES5_DILATION": 1,
        "DEFORM_ON_PER_STAGE": [False, False, False, False],  # deformable convolution in res2, res3, res4, res5
        "DEFORM_MODULATED": False,  # version 2 of it, with a mask
        "DEFORM_NUM_GROUPS": 1,
    },
    "FPN": {
        "IN_FEATURES": [],
        "OUT_CHANNELS": 256,
        "NORM": "",
        "FUSE_TYPE": "sum",  # or "avg"
        "USE_RELU": False,  # a ReLU after every convolution, so that quantizers see no negative values
    },
}

# Anchors and the region proposal network.
PROPOSALS: dict[str, dict[str, Any]] = {
    "ANCHOR_GENERATOR": {
        "NAME": "DefaultAnchorGenerator",
        "SIZES": [[32, 64, 128, 256, 512]],  # square root of the area in pixels; a list for each level, or one for all
        "ASPECT_RATIOS": [[0.5, 1.0, 2.0]],  # height / width
        "ANGLES": [[-90, 0, 90]],  # degrees, rotated anchors only
        "OFFSET": 0.0,  # of the first centre, in strides
    },
    "PROPOSAL_GENERATOR": {
        "NAME": "RPN",  # or "PrecomputedProposals"
        "MIN_SIZE": 0,  # pixels; smaller proposals are dropped
    },
    "RPN": {
        "HEAD_NAME": "StandardRPNHead",
        "IN_FEATURES": ["res4"],
        "CONV_DIMS": [-1],  # hidden convolutions; -1 keeps the number of input channels
        "HEAD_NORM": "",  # of the hidden convolutions; "BN" and "SyncBN" keep statistics for each level
        "BOUNDARY_THRESH": -1,  # pixels an anchor may reach outside the image in training; -1: no limit
        "IOU_THRESHOLDS": [0.3, 0.7],  # below the first: background; from the second: object
        "IOU_LABELS": [0, -1, 1],  # of the three ranges between; -1 is left out of the loss
        "BATCH_SIZE_PER_IMAGE": 256,
        "POSITIVE_FRACTION": 0.5,
        "LOSS_WEIGHT": 1.0,
        "BBOX_REG_LOSS_TYPE": "smooth_l1",  # or "giou", "diou", "ciou"
        "BBOX_REG_LOSS_WEIGHT": 1.0,
        "BBOX_REG_WEIGHTS": (1.0, 1.0, 1.0, 1.0),  # factors of dx, dy, dw, dh
        "SMOOTH_L1_BETA": 0.0,  # 0 is L1
        "PRE_NMS_TOPK_TRAIN": 12000,  # for each level
        "PRE_NMS_TOPK_TEST": 6000,
        "POST_NMS_TOPK_TRAIN": 2000,  # for all levels together
        "POST_NMS_TOPK_TEST": 1000,
        "NMS_THRESH": 0.7,
    },
}

# Heads that work on regions.
ROI_HEADS: dict[str, dict[str, Any]] = {
    "ROI_HEADS": {
        "NAME": "Res5ROIHeads",
        "NUM_CLASSES": 80,  # without background
        "IN_FEATURES": ["res4"],
        "IOU_THRESHOLDS": [0.5],
        "IOU_LABELS": [0, 1],
        "BATCH_SIZE_PER_IMAGE": 512,
        "POSITIVE_FRACTION": 0.25,
        "PROPOSAL_APPEND_GT": True,  # true boxes are proposals too, in training
        "SCORE_THRESH_TEST": 0.05,
        "NMS_THRESH_TEST": 0.5,
    },
    "ROI_BOX_HEAD": {
        "NAME": "",
        "POOLER_TYPE": "ROIAlignV2",
        "POOLER_RESOLUTION": 14,
        "POOLER_SAMPLING_RATIO": 0,  # samples along each side of a cell; 0: as many as it covers pixels
        "NUM_CONV": 0,
        "CONV_DIM": 256,
        "NUM_FC": 0,
        "FC_DIM": 1024,
        "NORM": "",  # of the convolutions
        "CLS_AGNOSTIC_BBOX_REG": False,
        "TRAIN_ON_PRED_BOXES": False,
        "BBOX_REG_LOSS_TYPE": "smooth_l1",
        "BBOX_REG_LOSS_WEIGHT": 1.0,
        "BBOX_REG_WEIGHTS": (10.0, 10.0, 5.0, 5.0),
        "SMOOTH_L1_BETA": 0.0,
        "USE_SIGMOID_CE": False,
        "USE_FED_LOSS": False,  # federated loss: only some negative classes an image
        "FED_LOSS_FREQ_WEIGHT_POWER": 0.5,
        "FED_LOSS_NUM_CLASSES": 50,
    },
    "ROI_BOX_CASCADE_HEAD": {
        "BBOX_REG_WEIGHTS": ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0)),
        "IOUS": (0.5, 0.6, 0.7),
    },
    "ROI_MASK_HEAD": {
        "NAME": "MaskRCNNConvUpsampleHead",
        "POOLER_TYPE": "ROIAlignV2",
        "POOLER_RESOLUTION": 14,
        "POOLER_SAMPLING_RATIO": 0,
        "NUM_CONV": 0,
        "CONV_DIM": 256,
        "NORM": "",
        "CLS_AGNOSTIC_MASK": False,
    },
    "ROI_KEYPOINT_HEAD": {
        "NAME": "KRCNNConvDeconvUpsampleHead",
        "POOLER_TYPE": "ROIAlignV2",
        "POOLER_RESOLUTION": 14,
        "POOLER_SAMPLING_RATIO": 0,
        "CONV_DIMS": (512,) * 8,
        "NUM_KEYPOINTS": 17,
        "MIN_KEYPOINTS_PER_IMAGE": 1,
        "NORMALIZE_LOSS_BY_VISIBLE_KEYPOINTS": True,
        "LOSS_WEIGHT": 1.0,
    },
}

# Segmentation of all pixels.
SEGMENTATION: dict[str, dict[str, Any]] = {
    "SEM_SEG_HEAD": {
        "NAME": "SemSegFPNHead",
        "IN_FEATURES": ["p2", "p3", "p4", "p5"],
        "NUM_CLASSES": 54,
        "IGNORE_VALUE": 255,
        "CONVS_DIM": 128,
        "COMMON_STRIDE": 4,
        "NORM": "GN",
        "LOSS_WEIGHT": 1.0,
    },
    "PANOPTIC_FPN": {
        "INSTANCE_LOSS_WEIGHT": 1.0,
        "COMBINE": {
            "ENABLED": True,
            "OVERLAP_THRESH": 0.5,
            "STUFF_AREA_LIMIT": 4096,  # pixels
            "INSTANCES_CONFIDENCE_THRESH": 0.5,
        },
    },
}

# Detectors without proposals.
DENSE_DETECTORS: dict[str, dict[str, Any]] = {
    "RETINANET": {
        "NUM_CLASSES": 80,
        "IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
        "NUM_CONVS": 4,  # in each tower, without the last layer
        "NORM": "",
        "IOU_THRESHOLDS": [0.4, 0.5],
        "IOU_LABELS": [0, -1, 1],
        "PRIOR_PROB": 0.01,  # first score of every class, against the mass of background
        "FOCAL_LOSS_GAMMA": 2.0,
        "FOCAL_LOSS_ALPHA": 0.25,
        "BBOX_REG_LOSS_TYPE": "smooth_l1",
        "BBOX_REG_WEIGHTS": (1.0, 1.0, 1.0, 1.0),
        "SMOOTH_L1_LOSS_BETA": 0.1,
        "SCORE_THRESH_TEST": 0.05,
        "TOPK_CANDIDATES_TEST": 1000,
        "NMS_THRESH_TEST": 0.5,
    },
    "FCOS": {
        "NUM_CLASSES": 80,
        "IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
        "NUM_CONVS": 4,
        "NORM": "GN",
        "CENTER_SAMPLING_RADIUS": 1.5,  # strides around the centre of a box in which a point is positive
        "FOCAL_LOSS_ALPHA": 0.25,
        "FOCAL_LOSS_GAMMA": 2.0,
        "SCORE_THRESH_TEST": 0.2,
        "TOPK_CANDIDATES_TEST": 1000,
        "NMS_THRESH_TEST": 0.6,
    },
}

MODEL: dict[str, Any] = {
    "META_ARCHITECTURE": "GeneralizedRCNN",  # in META_ARCH_REGISTRY
    "DEVICE": "cuda",  # "auto" takes a GPU where there is one
    "WEIGHTS": "",  # path, URL, detectron2:// or catalog://
    "PIXEL_MEAN": [103.53, 116.28, 123.675],  # subtracted from 0..255 values, in the order of INPUT.FORMAT
    "PIXEL_STD": [1.0, 1.0, 1.0],  # MSRA weights have it in the first convolution; else about [57.4, 57.1, 58.4]
    "MASK_ON": False,
    "KEYPOINT_ON": False,
    "LOAD_PROPOSALS": False,
    **BACKBONES,
    **PROPOSALS,
    **ROI_HEADS,
    **SEGMENTATION,
    **DENSE_DETECTORS,
}
