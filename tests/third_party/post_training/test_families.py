"""Every family of detectors goes from float weights to files that compute the same, by the command."""

import json

import pytest
import torch
from detectron2.projects.yolo import add_yolo_config

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling import build_model
from tests.engine.test_default_trainer import shapes_config
from third_party.post_training.command import main

pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

CHEAP = ("STEPS.MIGRATE", "False", "STEPS.BIAS_CORRECTION", "False", "ACTIVATIONS.OBSERVER", "minmax", "IMAGES", "2")
YOLO_HEAD = {
    "MODEL.PROPOSAL_GENERATOR.NAME": "YOLOPassThrough",
    "MODEL.ROI_HEADS.NAME": "YOLOHeads",
    "MODEL.ANCHOR_GENERATOR.NAME": "YOLOAnchorGenerator",
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.YOLO.FAMILY": "backbone",
    "MODEL.YOLO.HEAD.KIND": "anchor_free_dfl",
    "MODEL.YOLO.HEAD.IN_FEATURES": ["p3", "p4"],
    "MODEL.YOLO.NUM_CLASSES": 4,
}
FCOS = {
    "MODEL.META_ARCHITECTURE": "FCOS",
    "MODEL.FCOS.NUM_CLASSES": 4,
    "MODEL.FCOS.NUM_CONVS": 1,
    "MODEL.FCOS.NORM": "BN",
}

# The config it begins with, what is changed, and how the heads' layers are called.
FAMILIES = {
    "retinanet": ("retinanet_tiny", {"MODEL.RETINANET.NUM_CONVS": 1}, {"head"}),
    "fcos": ("retinanet_tiny", FCOS, {"head"}),
    "faster_rcnn": ("faster_rcnn_fpn_tiny", {}, {"rpn_head", "box"}),
    "mask_rcnn": ("mask_rcnn_fpn_tiny", {}, {"rpn_head", "box", "mask"}),
    "yolo_heads": ("retinanet_tiny", YOLO_HEAD, {"head"}),
}


def config_of(family, folder):
    name, changes, _ = FAMILIES[family]
    cfg = shapes_config(folder, folder / "output", name)
    add_yolo_config(cfg)
    cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 18, 16
    cfg.merge_from_list([part for pair in changes.items() for part in pair])
    return cfg


@pytest.fixture(scope="module", params=FAMILIES)
def result(request, trained, tmp_path_factory):
    """The family's name, and what the command reports."""
    folder = tmp_path_factory.mktemp(request.param)
    cfg = config_of(request.param, trained.folder)
    cfg.DATASETS.COCO_INSTANCES, cfg.DATASETS.TEST = trained.cfg.DATASETS.COCO_INSTANCES, trained.cfg.DATASETS.TEST
    (folder / "config.yaml").write_text(cfg.dump())
    torch.manual_seed(0)
    DetectionCheckpointer(build_model(cfg), str(folder)).save("float")
    given = ["--config-file", str(folder / "config.yaml"), "--weights", str(folder / "float.pth")]
    more = ["--calib", "ptq_shapes_train", "--engines", "onnxruntime", "--out", str(folder / "results"), *CHEAP]
    assert main([*given, *more]) == 0
    return request.param, json.loads((folder / "results" / "report.json").read_text())


def test_a_family_from_weights_to_files(result):
    family, report = result
    assert report["export"]["form"] == "suppressed"
    engines = {engine["engine"]: engine["parity"] for engine in report["export"]["engines"]}
    assert set(engines) == {"onnxruntime", "integer"} and all(parity["passed"] for parity in engines.values())
    tensors = engines["onnxruntime"]["tensors"]
    assert not any(tensor["chosen"] for tensor in tensors) and all(tensor["count"] for tensor in tensors)
    assert FAMILIES[family][2] <= {part for tensor in tensors for part in tensor["name"].split(".")}


def test_what_stands_before_suppression_is_judged(result):
    family, report = result
    (parity,) = (one["parity"] for one in report["export"]["engines"] if one["engine"] == "onnxruntime")
    judged = {output["name"] for output in parity["outputs"] if not output["chosen"]}
    two_stage = family.endswith("rcnn")
    assert {name.rpartition("scores")[0] for name in judged} >= ({"regions."} if two_stage else {"predictions."})


def test_engines_find_what_the_model_finds(result):
    family, report = result
    (engine,) = (one for one in report["export"]["engines"] if "evaluation" in one)
    tasks = {"bbox", "segm"} if family == "mask_rcnn" else {"bbox"}
    here, there = (one["quantized"] for one in (report["evaluation"], engine["evaluation"]))
    assert set(here) == set(there) == tasks
    for task in tasks:
        assert here[task]["AP"] == pytest.approx(there[task]["AP"], abs=1.0)
