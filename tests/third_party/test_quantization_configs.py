"""Every config of configs/Quantization builds, trains a step and evaluates, on generated pictures."""

import re
from pathlib import Path

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.utils.env import seed_all_rng
from tests.engine.test_default_trainer import shapes_config
from tests.third_party.test_quantization_hook import Trainer
from tests.third_party.tiny import ROOT
from third_party.convert_to_quantization import quantization_config
from third_party.quantization.transform import quantizers

FOLDER = ROOT / "configs" / "Quantization"
QUANTIZED = re.compile(r"_(W\dA\d|binary|ternary)\.yaml$")
CONFIGS = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml") if QUANTIZED.search(path.name))


def _config(name: str, folder: Path, output: Path):
    """The config, on pictures and with a rate that fit a test; layers and quantization as they are."""
    cfg = get_cfg()
    cfg.merge_from_file(str(FOLDER / name))
    small = shapes_config(folder, output)
    for section in ("DATASETS", "DATALOADER", "SOLVER"):
        cfg[section] = small[section]
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE, cfg.SEED, cfg.OUTPUT_DIR = "", "cpu", 3, str(output)
    classes = 4
    cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.FCOS.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES = classes
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (64,), 64
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR, cfg.SOLVER.CLIP_GRADIENTS.ENABLED = 1, 1e-4, True
    return cfg


def test_all_models_and_widths_are_there():
    names = set(CONFIGS)
    models = [
        f"{kind}_R_{depth}_FPN_1x"
        for kind, depths in (
            ("retinanet", (18, 34, 50)),
            ("fcos", (18, 50)),
            ("faster_rcnn", (18, 50)),
            ("mask_rcnn", (50,)),
        )
        for depth in depths
    ]
    assert {f"{model}_W{bits}A{bits}.yaml" for model in models for bits in (8, 4, 3, 2)} <= names
    assert {"retinanet_R_18_FPN_1x_binary.yaml", "retinanet_R_18_FPN_1x_ternary.yaml"} <= names


@pytest.mark.parametrize("name", CONFIGS)
def test_first_and_last_layers_have_8_bits(name):
    cfg = get_cfg()
    cfg.merge_from_file(str(FOLDER / name))
    config = quantization_config(cfg)
    assert config is not None
    middle = int(name.rsplit("_W", 1)[1][0]) if "_W" in name else None
    if middle:
        assert (config.weight.bits, config.activation.bits) == (middle, middle)
    plan = config.resolve("backbone.bottom_up.stem.conv1", ["Conv2d"])
    assert (plan.weight.bits, plan.activation.method) == (8, "image")
    assert all(rule.weight.get("bits", 8) == 8 for rule in config.rules)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_trains_a_step_and_evaluates(name, shapes, tmp_path):
    cfg = _config(name, shapes, tmp_path)
    seed_all_rng(cfg.SEED)
    trainer = Trainer(cfg)
    trainer.train()
    assert torch.isfinite(torch.tensor(trainer.storage.history("total_loss").latest()))
    assert trainer._last_eval_results["bbox"]["AP"] >= 0
    assert all(quantizer.initialized for _, quantizer in quantizers(trainer.model))
