"""Every config file of the project builds its model, and quantized ones keep 8 bits at both ends."""

import re
from pathlib import Path

import pytest
import torch
from detectron2.projects.yolo import YOLO, add_yolo_config
from detectron2.projects.yolo.families import FAMILIES
from detectron2.projects.yolo.layers import Concat
from torch import nn

from detectron2.config import CfgNode, get_cfg
from detectron2.engine.preflight import check_values
from detectron2.modeling import META_ARCH_REGISTRY
from third_party.convert_to_quantization import quantization_config
from third_party.quantization.modules.adopt import type_names
from third_party.quantization.transform import survey

FOLDER = Path(__file__).resolve().parents[3] / "projects" / "YOLO" / "configs"
QUANTIZED = re.compile(r"_W(\d)A\d\.yaml$")
# What other files are put together from.
PARTS = re.compile(r"(^|/)(Base-[^/]*|Finetune\.yaml|recipes/.*|rules/.*)$")
FILES = sorted(name for path in FOLDER.rglob("*.yaml") if not PARTS.search(name := str(path.relative_to(FOLDER))))
QUANTIZED_FILES = [name for name in FILES if QUANTIZED.search(name)]


def read(name: str) -> CfgNode:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.merge_from_file(str(FOLDER / name))
    return cfg


def on_meta(cfg: CfgNode) -> YOLO:
    """The float model of a config, without memory for its weights."""
    with torch.device("meta"):
        return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)


def test_every_size_has_a_config() -> None:
    there = {(cfg.MODEL.YOLO.FAMILY, cfg.MODEL.YOLO.SIZE) for cfg in map(read, FILES)}
    wanted = {(family, size) for family, table in FAMILIES.items() for size in table.scales if "6" not in size}
    assert wanted <= there


@pytest.mark.parametrize("name", FILES)
def test_builds(name: str) -> None:
    cfg = read(name)
    check_values(cfg)
    model = on_meta(cfg)
    assert isinstance(model, YOLO)
    stem = Path(name).stem.split("_W")[0]
    family_and_size = f"{model.network.family}_{model.network.size}".replace("_full", "").replace("_base", "")
    assert stem.replace("_", "").startswith(family_and_size.replace("_", ""))
    assert model.network.num_classes == {"shapes": 4, "bccd": 3}.get(stem.rsplit("_", 1)[-1], 80)
    assert cfg.INPUT.YOLO.SIZE == [cfg.INPUT.MIN_SIZE_TEST] * 2 == [cfg.INPUT.MAX_SIZE_TEST] * 2
    assert cfg.INPUT.YOLO.SIZE[0] % model.size_divisibility == 0


@pytest.mark.parametrize("name", QUANTIZED_FILES)
def test_first_and_last_layers_have_8_bits(name: str) -> None:
    cfg = read(name)
    model = on_meta(cfg)
    config = quantization_config(cfg, model)
    assert config is not None
    layers = survey(model)
    types = {layer.name: type_names(layer.module) for layer in layers if layer.kind in ("weighted", "elementwise")}
    config.check_matches(types)
    plans = {
        layer.name: config.resolve(layer.name, types[layer.name], layer.kind) for layer in layers if layer.name in types
    }
    convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    last = [name for name in convolutions if model.get_submodule(name).bias is not None]
    assert len(last) >= len(model.network.strides)
    assert plans[convolutions[0]].activation.method == "image"
    middle = int(QUANTIZED.search(name)[1])
    for convolution in convolutions:
        bits = 8 if convolution in (convolutions[0], *last) else middle
        plan = plans[convolution]
        assert (plan.weight.bits, plan.activation.bits) == (bits, bits), convolution
    joined = [name for name in plans if isinstance(model.get_submodule(name), Concat)]
    assert joined
    assert all(plans[name].skip or plans[name].activation.bits == 8 for name in joined)


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
