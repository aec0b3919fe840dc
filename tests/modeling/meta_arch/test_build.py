"""Models by name."""

import pytest
import torch
from torch import nn

from detectron2.modeling import META_ARCH_REGISTRY, build_model
from tests.modeling.fact_configs import cfg_with


class _TinyModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(cfg.MODEL.PIXEL_MEAN)))


@pytest.fixture
def tiny_model(monkeypatch):
    monkeypatch.setitem(META_ARCH_REGISTRY._obj_map, "TinyModel", _TinyModel)


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_registered_models_are_built_on_the_device(tiny_model, device):
    cfg = cfg_with({"MODEL.META_ARCHITECTURE": "TinyModel"})
    cfg.MODEL.DEVICE = device
    model = build_model(cfg)
    assert isinstance(model, _TinyModel)
    assert model.weight.device.type == ("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    "name, hint", [("RetinaNett", "did you mean RetinaNet"), ("xyz", "GeneralizedRCNN"), ("FastRCNN", "registered")]
)
def test_unknown_architecture_lists_the_nearest(name, hint):
    with pytest.raises(KeyError, match=hint):
        build_model(cfg_with({"MODEL.META_ARCHITECTURE": name}))


def test_device_that_is_not_there(tiny_model):
    cfg = cfg_with({"MODEL.META_ARCHITECTURE": "TinyModel"})
    cfg.MODEL.DEVICE = "cuda:99"
    with pytest.raises(ValueError, match="MODEL.DEVICE"):
        build_model(cfg)
