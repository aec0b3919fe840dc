"""A mapping under MODEL.QUANTIZATION with everything in it."""

FULL = {
    "ENABLED": True,
    "WEIGHT": {"METHOD": "aqd", "BITS": 2, "GRANULARITY": 4, "GRID": "interval"},
    "ACTIVATION": {"METHOD": "pact", "BITS": 3, "SIGNED": False, "WARMUP_BATCHES": 20},
    "ELEMENTWISE": {"ENABLED": False},
    "BATCH_NORM": "fixed_point",
    "WEIGHT_STANDARDIZATION": True,
    "RULES": [
        {"NAME": "backbone.stem.*", "WEIGHT": {"BITS": 8}, "ACTIVATION": "float"},
        {"TYPE": "Linear", "SKIP": True},
        {"NAME": "head", "TYPE": "Conv2d", "SKIP": False, "ELEMENTWISE": {"METHOD": "minmax", "PERCENTILE": 0.5}},
        {"NAME": "x", "ACTIVATION": {"METHOD": "image", "MEAN": [1, 2, 3], "STD": [1.0, 1.0, 1.0]}},
    ],
    "SCHEDULE": [
        {"ITERATION": 0, "ACTION": "set_enabled", "VALUE": False},
        {"ITERATION": 10, "NAME": "head.*", "ROLE": "weight", "ACTION": "set_bits", "BITS": 2, "RESET_MOMENTUM": False},
        {"ITERATION": 20, "ROLE": "activation", "ACTION": "calibrate", "BATCHES": 5},
        {"ITERATION": 30, "ACTION": "freeze"},
        {"ITERATION": 40, "ACTION": "unfreeze"},
        {"ITERATION": 50, "ACTION": "reset_range"},
    ],
    "TRAINING": {
        "EMA_DECAY": 0.999,
        "EMA_EVALUATE": False,
        "CORRECTION": True,
        "RESET_MOMENTUM": False,
        "OSCILLATION": {"DAMPENING": 0.1, "FREEZE_THRESHOLD": 0.02, "MOMENTUM": 0.1},
        "QUANTIZATION_LOSS": {"WEIGHT": 0.5, "KIND": "distribution"},
        "DISTILLATION": {"WEIGHT": 1.0, "TEACHER": "teacher.pth", "KIND": "features", "NAMES": ["fpn.*", "head"]},
        "PROX": {"ENABLED": True, "START": 5, "END": 50},
        "PROGRESSIVE": {
            "ENABLED": True,
            "START_BITS": 8,
            "END_BITS": 2,
            "STEPS": [10, 20],
            "NAME": "head.*",
            "ROLE": "weight",
        },
    },
}
