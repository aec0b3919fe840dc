"""The published recipes can be written down as configs, and the defaults are one of them."""

from typing import Any

import pytest
from detectron2.projects.yolo.data import MultiImageMapper
from detectron2.projects.yolo.data.defaults import INPUT_YOLO
from detectron2.projects.yolo.training.defaults import MODEL_YOLO_TRAINING

from detectron2.config import CfgNode, get_cfg

from ..facts import fact

FAMILIES = ("yolov5", "yolov7", "yolov9", "ultralytics_8.4.190_yolov8_to_yolo26", "yolov10")


def hyperparameters(family: str) -> list[dict[str, Any]]:
    recipe = fact("recipes")[family]
    return list(recipe["hyps"].values()) if "hyps" in recipe else [recipe["defaults"]]


def node_of(hyp: dict[str, Any]) -> CfgNode:
    """The keys of ``INPUT.YOLO`` for published names."""
    node = CfgNode(INPUT_YOLO).clone()
    node.HSV = [float(hyp["hsv_h"]), float(hyp["hsv_s"]), float(hyp["hsv_v"])]
    node.FLIP_HORIZONTAL, node.FLIP_VERTICAL = float(hyp["fliplr"]), float(hyp["flipud"])
    node.MOSAIC, node.MIXUP.PROBABILITY = float(hyp["mosaic"]), float(hyp["mixup"])
    node.COPY_PASTE.SHARE = float(hyp["copy_paste"])
    warp = node.PERSPECTIVE
    warp.DEGREES, warp.TRANSLATE, warp.SHEAR = float(hyp["degrees"]), float(hyp["translate"]), float(hyp["shear"])
    warp.SCALE, warp.COEFFICIENT = [1.0 - hyp["scale"], 1.0 + hyp["scale"]], float(hyp["perspective"])
    return node


@pytest.mark.parametrize("family", FAMILIES)
def test_every_recipe_makes_a_mapper(family: str) -> None:
    for hyp in hyperparameters(family):
        cfg = get_cfg()
        cfg.INPUT.YOLO = node_of(hyp)
        mapper = MultiImageMapper.from_config(cfg, [])
        assert mapper.perspective.scale == (1.0 - hyp["scale"], 1.0 + hyp["scale"])
        assert (mapper.copy_paste is None) == (hyp["copy_paste"] == 0)
        assert mapper.mosaic_probability == hyp["mosaic"]
        assert len(mapper.augmentations) == sum(
            (any(hyp[f"hsv_{k}"] for k in "hsv"), hyp["fliplr"] > 0, hyp["flipud"] > 0)
        )


def test_defaults_are_those_of_yolov8() -> None:
    recipe = fact("recipes")["ultralytics_8.4.190_yolov8_to_yolo26"]
    hyp = recipe["defaults"]
    assert node_of(hyp) == CfgNode(INPUT_YOLO)
    schedule = MODEL_YOLO_TRAINING["SCHEDULE"]
    assert schedule["FINAL"] == hyp["lrf"] and schedule["WARMUP_BIAS_LR"] == hyp["warmup_bias_lr"]
    assert schedule["WARMUP_MOMENTUM"] == hyp["warmup_momentum"]
    assert MODEL_YOLO_TRAINING["NOMINAL_BATCH"] == recipe["nbs"]
    assert MODEL_YOLO_TRAINING["EMA"] == {"ENABLED": True, "DECAY": recipe["ema_decay"], "TAU": recipe["ema_tau"]}


def test_yolox() -> None:
    for hyp in fact("recipes")["yolox"]["per_model"].values():
        cfg = get_cfg()
        cfg.INPUT.YOLO = CfgNode(INPUT_YOLO).clone()
        warp, low_high = cfg.INPUT.YOLO.PERSPECTIVE, [float(s) for s in hyp["mosaic_scale"]]
        warp.DEGREES, warp.TRANSLATE, warp.SHEAR, warp.SCALE = hyp["degrees"], hyp["translate"], hyp["shear"], low_high
        cfg.INPUT.YOLO.MIXUP.SCALE = [float(s) for s in hyp["mixup_scale"]]
        cfg.INPUT.YOLO.MIXUP.BETA, cfg.INPUT.YOLO.MIXUP.PARTNER = 0.0, "image"
        warp.SINGLE_IMAGES = False
        mapper = MultiImageMapper.from_config(cfg, [])
        assert mapper.perspective.scale == tuple(low_high)
        assert mapper.mixup_warp.scale == tuple(hyp["mixup_scale"])
        assert mapper.mixup_partner == "image" and not mapper.warp_single_images
