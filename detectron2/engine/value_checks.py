"""Config values that no training can use."""

import math
from typing import Any

from ..config import CfgNode
from ..config.keys import get_key, has_key

_CHOICES = {
    "SOLVER.AMP.PRECISION": ("float16", "bfloat16"),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "TEST.EARLY_STOPPING.MODE": ("max", "min"),
    "INPUT.MASK_FORMAT": ("polygon", "bitmask"),
}
_AT_LEAST = {
    "SOLVER.MAX_ITER": 1,
    "SOLVER.IMS_PER_BATCH": 1,
    "SOLVER.ACCUMULATION_STEPS": 1,
    "SOLVER.BASE_LR": 0,
    "SOLVER.GAMMA": 0,
    "SOLVER.MOMENTUM": 0,
    "SOLVER.WEIGHT_DECAY": 0,
    "SOLVER.WARMUP_ITERS": 0,
    "SOLVER.WARMUP_FACTOR": 0,
    "DATALOADER.NUM_WORKERS": 0,
    "DATALOADER.REPEAT_THRESHOLD": 0,
    "INPUT.MIN_SIZE_TEST": 0,
    "INPUT.MAX_SIZE_TRAIN": 1,
    "INPUT.MAX_SIZE_TEST": 1,
}


def check_values(cfg: CfgNode) -> None:
    """Check single values of a config.

    Raises:
        ValueError: a number is out of range, or a name is not one of those allowed; the message names the key.
    """
    for key, allowed in _CHOICES.items():
        if has_key(cfg, key) and get_key(cfg, key) not in allowed:
            raise ValueError(f"{key} is '{get_key(cfg, key)}', but must be one of {', '.join(allowed)}")
    for key, least in _AT_LEAST.items():
        if has_key(cfg, key) and not _is_number(get_key(cfg, key), least):
            raise ValueError(f"{key} is {get_key(cfg, key)}, but must be a number and at least {least}")
    clipping = cfg.SOLVER.CLIP_GRADIENTS
    if clipping.ENABLED and not (_is_number(clipping.CLIP_VALUE, 0) and clipping.CLIP_VALUE > 0):
        raise ValueError(f"SOLVER.CLIP_GRADIENTS.CLIP_VALUE is {clipping.CLIP_VALUE}, but must be above 0")
    if not all(_is_number(std, 0) and std > 0 for std in cfg.MODEL.PIXEL_STD):
        raise ValueError(f"MODEL.PIXEL_STD is {list(cfg.MODEL.PIXEL_STD)}, but images are divided by it: no 0, please")
    sizes = cfg.INPUT.MIN_SIZE_TRAIN
    if len(sizes) == 0 or not all(_is_number(size, 0) for size in sizes):
        raise ValueError(f"INPUT.MIN_SIZE_TRAIN is {sizes}, but must hold one or more sizes in pixels (0: as it is)")
    if has_key(cfg, "TEST.EARLY_STOPPING") and cfg.TEST.EARLY_STOPPING.ENABLED and cfg.TEST.EVAL_PERIOD <= 0:
        raise ValueError("TEST.EARLY_STOPPING is enabled, but TEST.EVAL_PERIOD is 0: nothing is evaluated on the way")


def _is_number(value: Any, least: float) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= least
