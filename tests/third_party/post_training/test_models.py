"""Trained detectors from files."""

import pytest
import torch

from tests.engine.test_default_trainer import shapes_config
from third_party.post_training.models import load_detector, quantization_of


def test_weights_are_loaded_whatever_the_config_says_of_quantization(trained):
    cfg = trained.cfg.clone()
    cfg.MODEL.QUANTIZATION.ENABLED = True
    model = load_detector(cfg, trained.weights)
    assert quantization_of(model) is None and not model.training
    stored = torch.load(trained.weights, weights_only=True)["model"]
    assert all(torch.equal(stored[name], value) for name, value in model.state_dict().items() if name in stored)
    assert cfg.MODEL.QUANTIZATION.ENABLED


def test_weights_of_another_model(trained, tmp_path):
    with pytest.raises(ValueError, match="weights of another model than the config describes; missing: .*fpn"):
        load_detector(shapes_config(trained.folder, tmp_path, "faster_rcnn_fpn_tiny"), trained.weights)
    cfg = trained.cfg.clone()
    cfg.MODEL.RETINANET.NUM_CLASSES = 7
    with pytest.raises(ValueError, match=r"other shapes: head.cls_score.weight \(36, .*\) for \(63, "):
        load_detector(cfg, trained.weights)


def test_no_weights(trained):
    with pytest.raises(FileNotFoundError, match="absent.pth do not exist"):
        load_detector(trained.cfg, "absent.pth")
    with pytest.raises(ValueError, match="--weights"):
        load_detector(trained.cfg, "")
