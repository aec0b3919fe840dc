"""Settings of the first fork and what they mean."""

import copy

from third_party.quantization.legacy import translate_legacy
from third_party.quantization.spec import QuantConfig

PATH = "MODEL.QUANTIZATION"
NAMES = ["backbone.stem", "backbone.res2.conv1", "backbone.res2.conv2", "head.cls"]
ON = {"keyword": ["lsq"], "fm_enable": True, "wt_enable": True, "fm_bit": 2.0, "wt_bit": 2.0}
FM = {"ENABLED": True, "METHOD": "lsq", "BITS": 2, "GRANULARITY": "tensor", "SIGNED": False}
WT = {"ENABLED": True, "METHOD": "lsq", "BITS": 2, "GRANULARITY": "tensor", "GRID": "interval"}
OFF = {"ENABLED": False}
NOTHING = {
    "ENABLED": False,
    "WEIGHT": OFF,
    "ACTIVATION": OFF,
    "ELEMENTWISE": OFF,
    "BATCH_NORM": "float",
    "WEIGHT_STANDARDIZATION": False,
    "RULES": [],
    "SCHEDULE": [],
    "TRAINING": {},
}
PLAIN = {**NOTHING, "ENABLED": True, "WEIGHT": WT, "ACTIVATION": FM}
HELP = {"layer_names": NAMES, "iterations_per_epoch": 100, "progressive_steps": [10, 20]}


def translate(mapping, policy="", **arguments):
    if policy:
        mapping = {**mapping, "policy": "p.txt"}
    files = {"p.txt": policy}

    def read_file(path):
        if path not in files:
            raise FileNotFoundError(2, "No such file", path)
        return files[path]

    before = copy.deepcopy(mapping)
    result = translate_legacy(mapping, read_file, **{**HELP, **arguments})
    assert mapping == before
    QuantConfig.from_mapping(result)
    return result
