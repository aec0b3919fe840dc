"""Keys of ``MODEL.YOLO.TRAINING`` with their default values, which are those of YOLOv5's and YOLOv8's recipes.

``SOLVER`` holds the rest: ``BASE_LR`` 0.01, ``MOMENTUM`` 0.937, ``NESTEROV`` True, ``WEIGHT_DECAY`` 0.0005 and
``WARMUP_ITERS`` in these recipes. The schedule takes ``SOLVER.WARMUP_ITERS`` and ``SOLVER.MAX_ITER`` from there.
"""

from typing import Any

__all__ = ["MODEL_YOLO_TRAINING"]

MODEL_YOLO_TRAINING: dict[str, Any] = {
    "OPTIMIZER": "SGD",  # or "Adam", "AdamW", "auto"
    "NOMINAL_BATCH": 64,  # images whose gradients make a step; 0: SOLVER.ACCUMULATION_STEPS and decay as they are
    "AUTO_ANCHOR": {  # better anchors for the training data, for heads that have them, where those given fit badly
        "ENABLED": False,
        "LEAST_RECALL": 0.98,  # share of the objects that the given anchors must fit to stay
        "GENERATIONS": 1000,  # random changes that are tried
    },
    "EMA": {"ENABLED": True, "DECAY": 0.9999, "TAU": 2000.0},  # TAU: updates
    "SCHEDULE": {
        "SHAPE": "linear",  # or "cosine", "cosine_tail"
        "FINAL": 0.01,  # last learning rate relative to SOLVER.BASE_LR
        "TAIL_ITERS": 0,  # of "cosine_tail": iterations at the last rate
        "WARMUP_POWER": 1.0,  # 2: quadratic
        "WARMUP_BIAS_LR": 0.1,  # where biases start; all else starts at 0
        "WARMUP_MOMENTUM": 0.8,
    },
}
