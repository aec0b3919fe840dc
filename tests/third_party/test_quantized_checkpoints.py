"""Checkpoints between float and quantized models."""

import logging

import pytest
import torch

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import DefaultTrainer
from detectron2.modeling import build_model
from tests.engine.toy import detection_sample
from tests.third_party.tiny import quantized_config
from third_party.quantization.transform import quantizers


def _trained(cfg, seed=0):
    """A model after one forward, which sets its ranges."""
    torch.manual_seed(seed)
    model = build_model(cfg).train()
    model([detection_sample(seed, 3)])
    return model


def _float(cfg):
    cfg = cfg.clone()
    cfg.MODEL.QUANTIZATION.ENABLED = False
    cfg.MODEL.QUANTIZATION.WEIGHT.BITS = cfg.MODEL.QUANTIZATION.ACTIVATION.BITS = 8
    return cfg


@pytest.fixture
def saved(shapes, tmp_path):
    """A quantized model, its config and its checkpoint."""
    cfg = quantized_config(shapes, tmp_path / "out")
    model = _trained(cfg)
    DetectionCheckpointer(model, str(tmp_path)).save("quantized")
    return model, cfg, str(tmp_path / "quantized.pth")


def _outputs(model):
    with torch.no_grad():
        return model.eval()([{"image": detection_sample(5, 1)["image"]}])[0]["instances"]


def _assert_equal(model, other):
    a, b = _outputs(model), _outputs(other)
    assert len(a) > 0 and torch.equal(a.scores, b.scores) and torch.equal(a.pred_boxes.tensor, b.pred_boxes.tensor)


def test_a_quantized_checkpoint_says_how_its_model_is_quantized(saved):
    model, cfg, path = saved
    data = torch.load(path, weights_only=True)
    assert data["quantization"]["WEIGHT"]["BITS"] == 4
    same = build_model(cfg)
    DetectionCheckpointer(same).load(path)
    _assert_equal(model, same)


def test_a_float_model_becomes_the_quantized_one_to_predict(saved, caplog):
    model, cfg, path = saved
    plain = build_model(_float(cfg))
    with caplog.at_level(logging.INFO):
        DetectionCheckpointer(plain).load(path)
    assert "quantized as the checkpoint says: weights lsq 4 bits" in caplog.text
    _assert_equal(model, plain)


def test_a_float_model_is_not_trained_from_a_quantized_checkpoint(saved, shapes, tmp_path):
    _, cfg, path = saved
    cfg = _float(cfg)
    cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR = path, str(tmp_path / "float")
    trainer = DefaultTrainer(cfg)
    with pytest.raises(ValueError, match="MODEL.QUANTIZATION is off.*float checkpoint"):
        trainer.resume_or_load(resume=False)


def test_a_float_checkpoint_starts_a_quantized_model_and_says_what_it_lacks(shapes, tmp_path, caplog):
    cfg = quantized_config(shapes, tmp_path)
    torch.manual_seed(1)
    plain = build_model(_float(cfg))
    DetectionCheckpointer(plain, str(tmp_path)).save("float")
    model = build_model(cfg)
    with caplog.at_level(logging.INFO):
        DetectionCheckpointer(model).load(str(tmp_path / "float.pth"))
    total = len(list(quantizers(model)))
    assert f"{total} of {total} quantizers are not in the checkpoint" in caplog.text
    assert "quantizer" not in "".join(r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)
    weights = plain.state_dict()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in weights.items())


def test_ranges_of_another_width_are_not_taken_over(saved, tmp_path, caplog):
    model, cfg, path = saved
    cfg.MODEL.QUANTIZATION.WEIGHT.BITS = 8
    other = build_model(cfg)
    with caplog.at_level(logging.WARNING):
        DetectionCheckpointer(other).load(path)
    assert "quantized in another way" in caplog.text
    by_name = dict(quantizers(other))
    assert not any(q.initialized for q in by_name.values())
    assert {q.bits for name, q in by_name.items() if name.endswith("weight_quantizer")} == {8}
    assert torch.equal(other.head.cls_score.weight, model.head.cls_score.weight)


def test_a_low_bit_backbone_is_loaded_over_a_float_detector(saved, shapes, tmp_path):
    low_bit, cfg, path = saved
    torch.manual_seed(7)
    plain = build_model(_float(cfg))
    DetectionCheckpointer(plain, str(tmp_path)).save("float")
    cfg.MODEL.WEIGHTS, cfg.MODEL.QUANTIZATION.BACKBONE_WEIGHTS = str(tmp_path / "float.pth"), path
    cfg.OUTPUT_DIR = str(tmp_path / "two")
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=False)
    backbone, head = trainer.model.backbone.state_dict(), trainer.model.head.state_dict()
    assert all(torch.equal(value, backbone[name]) for name, value in low_bit.backbone.state_dict().items())
    assert all(torch.equal(value, head[name]) for name, value in plain.head.state_dict().items())
    assert all(q.initialized == name.startswith("backbone") for name, q in quantizers(trainer.model))
    cfg.MODEL.QUANTIZATION.BACKBONE_WEIGHTS = str(tmp_path / "nothing.pth")
    with pytest.raises(FileNotFoundError, match="nothing.pth"):
        DefaultTrainer(cfg).resume_or_load(resume=False)
