"""Configs of the facts: the defaults with what a published YAML file changes."""

from typing import Any

from detectron2.config import CfgNode, get_cfg
from tests.facts import fact

# What the notes of the facts' own variants say.
VARIANTS: dict[str, dict[str, Any]] = {
    "faster_rcnn_R_18_FPN": {"MODEL.RESNETS.DEPTH": 18, "MODEL.RESNETS.RES2_OUT_CHANNELS": 64},
    "mask_rcnn_R_50_FPN_variants": {
        "MODEL.FPN.FUSE_TYPE": "avg",
        "MODEL.FPN.NORM": "GN",
        "MODEL.RPN.CONV_DIMS": [-1, -1],
        "MODEL.RESNETS.DEFORM_MODULATED": True,
        "MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, True, True, True],
    },
    "retinanet_R_34_FPN_bn": {
        "MODEL.RESNETS.DEPTH": 34,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
        "MODEL.RESNETS.NORM": "BN",
        "MODEL.BACKBONE.FREEZE_AT": 0,
        "MODEL.FPN.NORM": "BN",
    },
    "retinanet_X_50_32x4d_FPN": {
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
        "MODEL.RESNETS.NUM_GROUPS": 32,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    },
}


def cfg_with(changes: dict[str, Any]) -> CfgNode:
    """The default config, on the CPU, with the given dotted keys changed."""
    cfg = get_cfg()
    for key, value in {**changes, "MODEL.DEVICE": "cpu"}.items():
        *path, last = key.split(".")
        node = cfg
        for part in path:
            node = node[part]
        node[last] = tuple(value["__tuple__"]) if isinstance(value, dict) and "__tuple__" in value else value
    return cfg


def zoo_cfg(name: str) -> CfgNode:
    """The config of a zoo file such as ``COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml``."""
    return cfg_with(fact("zoo_configs")[f"configs/{name}"])


def variant_cfg(name: str, config: str) -> CfgNode:
    """The zoo config ``config`` with the changes of one of the facts' variants."""
    return cfg_with({**fact("zoo_configs")[f"configs/{config}"], **VARIANTS[name]})
