"""From a config to a quantized detector: every architecture, every mistake."""

import subprocess
import sys

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.layers.elementwise import Add
from detectron2.modeling import build_model
from detectron2.modeling.meta_arch.fcos import FCOS
from tests.engine.toy import detection_sample
from tests.modeling.tiny_models import tiny_config
from tests.third_party.tiny import MODELS, ROOT
from third_party.convert_to_quantization import describe, quantization_config
from third_party.quantization import QuantAdd
from third_party.quantization.modules import QuantLayer
from third_party.quantization.transform import quantizers

WEIGHTED = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.ConvTranspose2d)


def _config(name="retinanet_tiny", **settings):
    cfg = tiny_config(name)
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE = "", "cpu"
    cfg.MODEL.QUANTIZATION.ENABLED = True
    for key, value in settings.items():
        cfg.merge_from_list([f"MODEL.QUANTIZATION.{key.replace('__', '.')}", value])
    return cfg


@pytest.mark.parametrize("bits", [8, 2])
@pytest.mark.parametrize("name", MODELS)
def test_every_layer_of_every_architecture_is_quantized_trains_and_predicts(name, bits):
    torch.manual_seed(0)
    model = build_model(_config(name, WEIGHT__BITS=bits, ACTIVATION__BITS=bits)).train()
    float_layers = [
        name for name, m in model.named_modules() if isinstance(m, (*WEIGHTED, Add)) and not isinstance(m, QuantLayer)
    ]
    assert float_layers == []
    layers = [m for m in model.modules() if isinstance(m, QuantLayer)]
    assert {q.bits for layer in layers for q in (layer.input_quantizer, layer.weight_quantizer)} == {bits}
    batch = [detection_sample(seed, 3) for seed in (1, 2)]
    sum(model(batch).values()).backward()
    without = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and (p.grad is None or not bool(p.grad.isfinite().all()))
    ]
    assert without == []
    assert all(quantizer.initialized for _, quantizer in quantizers(model))
    scales = [p.grad.abs().sum() for name, p in model.named_parameters() if name.endswith("quantizer.scale")]
    assert sum(bool(scale > 0) for scale in scales) > 0.9 * len(scales)
    with torch.no_grad():
        results = model.eval()([{"image": batch[0]["image"]}])
    assert results[0]["instances"].scores.isfinite().all()


def test_without_objects_and_proposals_it_trains():
    model = build_model(_config("mask_rcnn_fpn_tiny")).train()
    sum(model([detection_sample(1, 0)]).values()).backward()
    sum(model([detection_sample(2, 2)]).values()).backward()
    assert all(q.initialized for _, q in quantizers(model))


def test_additions_of_backbone_and_pyramid_take_part():
    model = build_model(_config())
    adds = [name for name, m in model.named_modules() if isinstance(m, QuantAdd)]
    assert {name.split(".")[1] for name in adds} == {"bottom_up", "adds"}
    off = build_model(_config(ELEMENTWISE__ENABLED=False))
    assert not [m for m in off.modules() if isinstance(m, QuantAdd)]


def test_fcos_is_quantized_by_its_config():
    cfg = get_cfg()
    cfg.merge_from_file(str(ROOT / "configs" / "COCO-Detection" / "fcos_R_18_FPN_1x.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.QUANTIZATION.ENABLED = True
    model = build_model(cfg)
    assert isinstance(model, FCOS) and isinstance(model.head.ctrness, QuantLayer)


def test_the_stem_takes_images_as_integers():
    rules = [{"NAME": "backbone.bottom_up.stem.conv1", "ACTIVATION": {"METHOD": "image"}}]
    cfg = _config(RULES=rules)
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [120.0] * 3, [58.0] * 3
    model = build_model(cfg)
    quantizer = model.backbone.bottom_up.stem.conv1.input_quantizer
    pixels = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    torch.testing.assert_close(quantizer((pixels - 120) / 58), (pixels - 120) / 58, rtol=0, atol=1e-6)
    assert torch.equal(quantizer.grid().codes((pixels - 120) / 58), pixels.int())
    cfg.MODEL.PIXEL_MEAN = [103.53, 116.28, 123.675]
    with pytest.raises(ValueError, match="PIXEL_MEAN|mean"):
        build_model(cfg)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("WEIGHT.BIT", 4, r"MODEL.QUANTIZATION.WEIGHT.BIT.*BITS"),
        ("ENABLE", True, r"MODEL.QUANTIZATION.ENABLE.*ENABLED"),
        ("WEIGHT.METHOD", "lqs", r"lqs.*lsq"),
        ("WEIGHT.BITS", 40, "40"),
        ("BATCH_NORM", "folded", "fold"),
        ("RULES", [{"NAME": "backbone.stem", "SKIP": True}], r"backbone.stem.*"),
        ("TRAINING.EMA_DECAI", 0.9, "EMA_DECAY"),
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_typo_stops_the_run_before_training(key, value, message, enabled):
    cfg = _config()
    cfg.merge_from_list([f"MODEL.QUANTIZATION.{key}", value])
    cfg.MODEL.QUANTIZATION.ENABLED = enabled
    if key == "RULES" and not enabled:
        build_model(cfg)  # whether a rule matches is known only when layers are looked at
        return
    with pytest.raises(ValueError, match=message):
        build_model(cfg)


def test_settings_of_the_first_fork_are_translated():
    cfg = tiny_config("retinanet_tiny")
    cfg.MODEL.DEVICE = "cpu"
    node = {
        "keyword": ["lsq"],
        "wt_enable": True,
        "wt_bit": 3.0,
        "fm_enable": True,
        "fm_bit": 3.0,
        "scope": ["backbone"],
    }
    cfg.MODEL.QUANTIZATION.update(node)
    model = build_model(cfg)
    assert {name.split(".")[0] for name, q in quantizers(model)} == {"backbone"}
    assert {q.bits for _, q in quantizers(model)} == {3}
    cfg.MODEL.QUANTIZATION.scope = ["backbon"]
    with pytest.raises(ValueError, match="backbon"):
        build_model(cfg)
    cfg.MODEL.QUANTIZATION.scope, cfg.MODEL.QUANTIZATION.WEIGHT.BITS = ["backbone"], 4
    with pytest.raises(ValueError, match="first quantization fork.*WEIGHT"):
        build_model(cfg)


def test_off_leaves_the_model_alone_and_the_report_says_so():
    cfg = _config()
    cfg.MODEL.QUANTIZATION.ENABLED = False
    assert quantization_config(cfg) is None
    assert not hasattr(build_model(cfg), "quantization")
    with pytest.raises(ValueError, match="ENABLED is False"):
        describe(cfg)


def test_the_command_prints_the_report():
    command = [sys.executable, "-m", "third_party.convert_to_quantization", "--dry-run", "--config-file"]
    config = "configs/Quantization/quick_start/retinanet_R_18_half_bccd_W4A4.yaml"
    done = subprocess.run([*command, config], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert (
        "8 bits, image" in rows["backbone.bottom_up.stem.conv1"] and "rule 1" in rows["backbone.bottom_up.stem.conv1"]
    )
    assert "4 bits, aqd" in rows["backbone.fpn_output3"] and "8 bits, aqd" in rows["head.cls_score"]
    missing = subprocess.run([*command, "configs/nothing.yaml"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert missing.returncode == 2 and "configs/nothing.yaml" in missing.stderr
