"""Every config key with its default value. Suffixes ``_TRAIN`` and ``_TEST`` mark what holds in one phase only.

A key's type is part of the interface: files and overrides must give a value of the same type.
"""

from .config import CfgNode as CN
from .model_defaults import MODEL

__all__ = ["CN"]

_INPUT = {
    "FORMAT": "BGR",
    "MIN_SIZE_TRAIN": (800,),  # shorter side in pixels; 0 keeps the image as it is
    "MIN_SIZE_TRAIN_SAMPLING": "choice",  # "choice": one of them; "range": between the two given
    "MAX_SIZE_TRAIN": 1333,  # longer side
    "MIN_SIZE_TEST": 800,
    "MAX_SIZE_TEST": 1333,
    "RANDOM_FLIP": "horizontal",  # or "vertical", "none"
    "CROP": {
        "ENABLED": False,
        "TYPE": "relative_range",  # or "relative", "absolute", "absolute_range"
        "SIZE": [0.9, 0.9],  # height, width
    },
    "MASK_FORMAT": "polygon",  # or "bitmask"
}

_DATASETS = {
    "TRAIN": (),  # registered names
    "TEST": (),
    "COCO_INSTANCES": (),  # (name, json file, image folder) of data sets that are registered before training
    "PROPOSAL_FILES_TRAIN": (),
    "PROPOSAL_FILES_TEST": (),
    "PRECOMPUTED_PROPOSAL_TOPK_TRAIN": 2000,
    "PRECOMPUTED_PROPOSAL_TOPK_TEST": 1000,
}

_DATALOADER = {
    "NUM_WORKERS": 4,  # processes; 0 loads in the training process
    "ASPECT_RATIO_GROUPING": True,
    "SAMPLER_TRAIN": "TrainingSampler",
    "REPEAT_THRESHOLD": 0.0,  # of RepeatFactorTrainingSampler
    "REPEAT_SQRT": True,
    "FILTER_EMPTY_ANNOTATIONS": True,
}

_SOLVER = {
    "MAX_ITER": 40000,
    "IMS_PER_BATCH": 16,  # over all processes
    "REFERENCE_WORLD_SIZE": 0,  # number of processes these numbers are meant for; 0: use them as they are
    "ACCUMULATION_STEPS": 1,  # batches whose gradients are averaged for one step of the optimizer
    "BASE_LR": 0.001,
    "BASE_LR_END": 0.0,  # where the cosine schedule ends
    "LR_SCHEDULER_NAME": "WarmupMultiStepLR",
    "STEPS": (30000,),  # iterations at which the rate is multiplied by GAMMA
    "GAMMA": 0.1,
    "NUM_DECAYS": 3,
    "WARMUP_METHOD": "linear",  # or "constant"
    "WARMUP_ITERS": 1000,
    "WARMUP_FACTOR": 1e-3,
    "RESCALE_INTERVAL": False,
    "MOMENTUM": 0.9,
    "NESTEROV": False,
    "WEIGHT_DECAY": 1e-4,
    "WEIGHT_DECAY_NORM": 0.0,
    "WEIGHT_DECAY_BIAS": None,  # as WEIGHT_DECAY
    "BIAS_LR_FACTOR": 1.0,
    "CLIP_GRADIENTS": {
        "ENABLED": False,
        "CLIP_TYPE": "value",  # or "norm", of each parameter by itself
        "CLIP_VALUE": 1.0,
        "NORM_TYPE": 2.0,
    },
    "AMP": {"ENABLED": False, "PRECISION": "float16"},  # or "bfloat16"
    "CHECKPOINT_PERIOD": 5000,  # iterations
    "PRINT_PERIOD": 20,  # iterations between two lines of metrics
}

_TEST = {
    "EVAL_PERIOD": 0,  # iterations; 0: only after the last
    "EXPECTED_RESULTS": [],
    "DETECTIONS_PER_IMAGE": 100,
    "KEYPOINT_OKS_SIGMAS": [],
    "EARLY_STOPPING": {
        "ENABLED": False,
        "METRIC": "bbox/AP",
        "MODE": "max",  # or "min"
        "PATIENCE": 5,  # evaluations without improvement
        "MIN_DELTA": 0.0,
    },
    "VAL_LOSS": {"ENABLED": False, "MAX_ITER": 0},  # 0: the whole test data
    "PRECISE_BN": {"ENABLED": False, "NUM_ITER": 200},
    "AUG": {
        "ENABLED": False,
        "MIN_SIZES": (400, 500, 600, 700, 800, 900, 1000, 1100, 1200),
        "MAX_SIZE": 4000,
        "FLIP": True,
    },
}

_C = CN(
    {
        "VERSION": 2,
        "MODEL": MODEL,
        "INPUT": _INPUT,
        "DATASETS": _DATASETS,
        "DATALOADER": _DATALOADER,
        "SOLVER": _SOLVER,
        "TEST": _TEST,
        "OUTPUT_DIR": "./output",
        "SEED": -1,  # negative: a new one in each run
        "CUDNN_BENCHMARK": False,
        "FLOAT32_PRECISION": "",  # "highest", "high", "medium" of torch.set_float32_matmul_precision
        "VIS_PERIOD": 0,  # iterations between pictures; 0: none
        "GLOBAL": {"HACK": 1.0},  # for quick experiments
    }
)
# Read and checked, unknown keys too, by third_party/convert_to_quantization.py; methods bring settings of their own.
_C.MODEL.QUANTIZATION = CN(
    {
        "ENABLED": False,
        "BATCH_NORM": "float",  # behind quantized convolutions; or "fold", "fixed_point"
        "WEIGHT_STANDARDIZATION": False,
        "BACKBONE_WEIGHTS": "",  # checkpoint of a quantized backbone, loaded over MODEL.WEIGHTS
        "RULES": [],  # exceptions by layer, such as {"NAME": "head.*", "WEIGHT": {"BITS": 8}}
        "SCHEDULE": [],  # changes on the way, such as {"ITERATION": 500, "ACTION": "set_bits", "BITS": 4}
    },
    new_allowed=True,
)
_C.MODEL.QUANTIZATION.WEIGHT = CN({"METHOD": "lsq", "BITS": 8, "GRANULARITY": "channel"}, new_allowed=True)
_C.MODEL.QUANTIZATION.ACTIVATION = CN({"METHOD": "lsq", "BITS": 8, "GRANULARITY": "tensor"}, new_allowed=True)
_C.MODEL.QUANTIZATION.ELEMENTWISE = CN({"ENABLED": True, "METHOD": "lsq", "BITS": 8}, new_allowed=True)
_C.MODEL.QUANTIZATION.TRAINING = CN(new_allowed=True)
