"""Every config file of the project builds its model, and quantized ones keep 8 bits at both ends."""

import re
from pathlib import Path

import pytest
import torch
from detectron2.projects.yolo import YOLO, add_yolo_config
from detectron2.projects.yolo.families import FAMILIES
from detectron2.projects.yolo.heads import DetectionHead
from detectron2.projects.yolo.layers import Concat
from torch import nn

from detectron2.config import CfgNode, get_cfg
from detectron2.engine.preflight import check_values
from detectron2.layers import Add
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from tests.projects.yolo.test_meta_arch import SMALLEST, batch
from third_party.convert_to_quantization import quantization_config
from third_party.quantization.modules.adopt import type_names
from third_party.quantization.transform import quantizers, survey

FOLDER = Path(__file__).resolve().parents[3] / "projects" / "YOLO" / "configs"
DEPTHWISE_AT_8_BITS = {"Quantization/quick_start/yolox_nano_bccd_W4A4.yaml"}
QUANTIZED = re.compile(r"_W(\d)A\d\.yaml$")
# What other files are put together from.
PARTS = re.compile(r"(^|/)(Base-[^/]*|Finetune\.yaml|recipes/.*|rules/.*)$")
FILES = sorted(name for path in FOLDER.rglob("*.yaml") if not PARTS.search(name := str(path.relative_to(FOLDER))))
QUANTIZED_FILES = [name for name in FILES if QUANTIZED.search(name)]
FLOAT_FILES = [name for name in FILES if name not in QUANTIZED_FILES]


def read(name: str) -> CfgNode:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.merge_from_file(str(FOLDER / name))
    return cfg


def on_meta(cfg: CfgNode) -> nn.Module:
    """The float model of a config, without memory for its weights."""
    with torch.device("meta"):
        return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)


def head_of(model: nn.Module) -> DetectionHead:
    return model.network.head if isinstance(model, YOLO) else model.roi_heads.head


def test_every_size_has_a_config() -> None:
    there = {(cfg.MODEL.YOLO.FAMILY, cfg.MODEL.YOLO.SIZE) for cfg in map(read, FLOAT_FILES)}
    wanted = {(family, size) for family, table in FAMILIES.items() for size in table.scales if "6" not in size}
    assert wanted <= there


@pytest.mark.parametrize("name", FLOAT_FILES)
def test_builds(name: str) -> None:
    cfg = read(name)
    check_values(cfg)
    model = on_meta(cfg)
    stem = Path(name).stem.split("_W")[0]
    if isinstance(model, YOLO) and Path(name).parent.name != "backbones":
        family_and_size = f"{model.network.family}_{model.network.size}".replace("_full", "").replace("_base", "")
        assert stem.replace("_", "").startswith(family_and_size.replace("_", ""))
    else:
        assert cfg.MODEL.YOLO.FAMILY == "backbone"
        assert head_of(model).head_kind == cfg.MODEL.YOLO.HEAD.KIND
    head = head_of(model)
    assert head.num_classes == {"shapes": 4, "bccd": 3}.get(stem.rsplit("_", 1)[-1], 80)
    assert max(cfg.INPUT.YOLO.SIZE) == cfg.INPUT.MIN_SIZE_TEST == cfg.INPUT.MAX_SIZE_TEST
    assert not any(side % max(head.strides) for side in cfg.INPUT.YOLO.SIZE)


@pytest.mark.parametrize("name", QUANTIZED_FILES)
def test_first_and_last_layers_have_8_bits(name: str) -> None:
    cfg = read(name)
    check_values(cfg)
    model = on_meta(cfg)
    config = quantization_config(cfg, model)
    assert config is not None
    layers = survey(model)
    types = {layer.name: type_names(layer.module) for layer in layers if layer.kind in ("weighted", "elementwise")}
    config.check_matches(types)
    plans = {
        layer.name: config.resolve(layer.name, types[layer.name], layer.kind) for layer in layers if layer.name in types
    }
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    # The image has 3 channels, or 12 where each 2 x 2 pixels have become one.
    first = [name for name, module in convolutions.items() if module.in_channels in (3, 12)]
    last = [name for name, module in convolutions.items() if "head." in name and module.bias is not None]
    assert len(last) >= len(head_of(model).strides)
    assert first
    assert all(plans[name].activation.method == "image" for name in first)
    middle = int(QUANTIZED.search(name)[1])
    wide = {*first, *last}
    if name in DEPTHWISE_AT_8_BITS:
        wide |= {name for name, module in convolutions.items() if module.groups > 1}
    for convolution in convolutions:
        bits = 8 if convolution in wide else middle
        plan = plans[convolution]
        assert (plan.weight.bits, plan.activation.bits) == (bits, bits), convolution
        assert plan.weight.method == ("minmax" if bits == 8 else "lsq"), convolution
    joined = [name for name in plans if isinstance(model.get_submodule(name), Concat | Add)]
    assert joined
    assert all(plans[name].skip or plans[name].activation.bits == 8 for name in joined)


def smallest(family: str) -> str:
    stem = f"{family}_{SMALLEST[family]}"
    return next(f"Quantization/{s}_W4A4.yaml" for s in (stem, stem.replace("_", "")) if (FOLDER / f"{s}.yaml").exists())


STEPS = [*map(smallest, SMALLEST), *(name for name in QUANTIZED_FILES if Path(name).parent.name == "backbones")]


def test_every_float_config_has_quantized_ones() -> None:
    for name in FLOAT_FILES:
        stem = name.removesuffix(".yaml")
        bits = ("W8A8",) if name.startswith("backbones/") else ("W8A8", "W4A4")
        assert {f"Quantization/{stem}_{form}.yaml" for form in bits} <= set(QUANTIZED_FILES)


@pytest.mark.parametrize("name", STEPS)
def test_a_quantized_step_and_detections(name: str) -> None:
    cfg = read(name)
    cfg.MODEL.DEVICE, cfg.INPUT.YOLO.SIZE, cfg.SOLVER.IMS_PER_BATCH = "cpu", [64, 64], 2
    cfg.MODEL.YOLO.NUM_CLASSES, cfg.MODEL.YOLO.SCORE_THRESH_TEST = 3, 0.0
    torch.manual_seed(0)
    model = build_model(cfg)
    assert not any(type(module).__name__ in ("Conv2d", "Concat", "Add") for module in model.modules()) or any(
        rule.get("SKIP") for rule in cfg.MODEL.QUANTIZATION.RULES
    )
    losses = model(batch())
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(quantizer.initialized for _, quantizer in quantizers(model))
    model.eval()
    with torch.no_grad():
        results = [result["instances"] for result in model(batch())]
    assert [found.image_size for found in results] == [(120, 180), (140, 128)]
    assert all(0 < len(found) <= cfg.TEST.DETECTIONS_PER_IMAGE for found in results)


def test_defaults_are_kept_where_they_are_given() -> None:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.MODEL.YOLO.NUM_CLASSES = 7
    add_yolo_config(cfg)
    assert cfg.MODEL.YOLO.NUM_CLASSES == 7
    other = get_cfg()
    add_yolo_config(other)
    assert other.MODEL.YOLO.NUM_CLASSES == 80
    cfg.MODEL.YOLO.LOSS.ANCHOR_FREE.BOX_WEIGHT = 1.0
    assert other.MODEL.YOLO.LOSS.ANCHOR_FREE.BOX_WEIGHT == 7.5


def test_a_misspelt_key_names_the_near_one() -> None:
    cfg = get_cfg()
    add_yolo_config(cfg)
    with pytest.raises(KeyError, match="MODEL.YOLO.NMS_THRESH_TEST"):
        cfg.merge_from_list(["MODEL.YOLO.NMS_TRESH_TEST", 0.5])
