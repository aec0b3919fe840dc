"""Detectors: executors agree bit for bit, and every quantized tensor with the float32 model."""

import pytest
import torch
from detectron2.projects.yolo.network import build_network
from torch import nn

from detectron2.config import get_cfg
from detectron2.modeling import build_model
from tests.third_party.quantization.integer.agreement import compare
from tests.third_party.quantization.integer.models import at_width, pictures, settings, traced
from third_party import convert_to_quantization  # noqa: F401  detectron2's layers are known to the engine by it
from third_party.deploy import detector_parts

SIZE = (64, 64)
# Random weights with batch norm double small differences every few layers, in any arithmetic. Hence what is computed
# from the model's own codes is compared for each tensor, and the whole run only for few levels.
SHARE = 1e-3


class Yolo(nn.Module):
    """Raw predictions of a network for pixels."""

    def __init__(self, family, size):
        super().__init__()
        self.network = build_network(family, size, 4)

    def forward(self, x):
        return self.network(x / 255)


def _resnet(name):
    cfg = get_cfg()
    cfg.merge_from_file(f"configs/Quantization/{name}_R_18_FPN_1x_W8A8.yaml")
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS, cfg.MODEL.QUANTIZATION.ENABLED = "cpu", "", False
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 16, 16
    cfg.MODEL.FPN.OUT_CHANNELS, cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 32, 32
    cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    cfg.MODEL.RESNETS.NORM = cfg.MODEL.FPN.NORM = cfg.MODEL.RETINANET.NORM = "BN"
    return detector_parts(build_model(cfg).eval())


# Parts, what they are fed, and what else their settings have; the heads on regions are a program of their own.
BUILDERS = {
    "retinanet": lambda: (_resnet("retinanet").dense, pictures, {}),
    "faster_rcnn": lambda: (
        _resnet("faster_rcnn").dense,
        pictures,
        {"RULES": [{"NAME": name, "SKIP": True} for name in ("model.roi_heads.*", "heads.*")]},
    ),
    "box_head": lambda: (_resnet("faster_rcnn").regions["box"], _regions, {}),
    "yolov8n": lambda: (Yolo("yolov8", "n"), pictures, {}),
    "yolox_nano": lambda: (Yolo("yolox", "nano"), pictures, {}),
}


def _regions(number, height, width, seed=0):
    """Pooled features: as many regions, whatever the size of the pictures."""
    return torch.randn(4 * number, 32, 7, 7, generator=torch.Generator().manual_seed(seed)).relu()


@pytest.fixture(scope="module", params=BUILDERS)
def case(request):
    torch.manual_seed(0)
    part, inputs, sections = BUILDERS[request.param]()
    return traced(part, settings(**sections), (inputs(2, *SIZE),), (inputs(2, *SIZE, seed=1),)), inputs


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_every_tensor_agrees(case, bits):
    program, inputs = case
    found = compare(program if bits == 8 else at_width(program, bits), (inputs(2, *SIZE, seed=2),))
    assert len(found.accumulated) >= len(found.local) > 1
    for row in found.local:
        assert row.beyond <= SHARE and row.different <= 0.1, row
    assert sum(row.levels for row in found.local) > 1.5 * len(found.local)
