"""Counts of operations, activations and parameters, and unused parameters."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detectron2.structures import Boxes, Instances
from detectron2.utils.analysis import (
    FlopCountAnalysis,
    activation_count_operators,
    find_unused_parameters,
    flop_count_operators,
    parameter_count,
    parameter_count_table,
)
from tests.facts import golden_model_yaml


class _Detector(nn.Module):
    """Takes and returns what detectors do: a list of dicts, and Instances."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.unused = nn.Linear(4, 4)

    def forward(self, inputs):
        image = torch.stack([x["image"] for x in inputs]) - inputs[0].get("mean", 0)
        features = F.relu(self.conv(image))
        if self.training:
            return {"loss": features.mean(), "other": features.square().mean()}
        instances = Instances((10, 10), scores=features.flatten(1).mean(1))
        instances.pred_boxes = Boxes(features.sum((2, 3))[:, :4])
        return [{"instances": instances}]


INPUTS = [{"image": torch.rand(3, 10, 12), "file_name": "a.jpg", "height": 10}]
CONV_FLOPS = 8 * 3 * 9 * 10 * 12


@pytest.mark.parametrize("training", [True, False])
def test_counts(training):
    model = _Detector().train(training)
    flops = flop_count_operators(model, INPUTS)
    assert flops["conv"] == pytest.approx(CONV_FLOPS / 1e9) and sum(flops.values()) == flops["conv"]
    activations = activation_count_operators(model, INPUTS)
    assert activations["conv"] == pytest.approx(8 * 10 * 12 / 1e6)
    assert model.training is training


def test_analysis_by_module():
    analysis = FlopCountAnalysis(_Detector().eval(), INPUTS)
    assert analysis.total() == CONV_FLOPS
    assert analysis.by_module()["model.conv"] == CONV_FLOPS
    assert not analysis.unsupported_ops()
    # a tuple holds the arguments
    linear = FlopCountAnalysis(nn.Linear(3, 5), (torch.rand(2, 3),))
    assert linear.total() == FlopCountAnalysis(nn.Linear(3, 5), torch.rand(2, 3)).total() == 30


@pytest.mark.filterwarnings("error::FutureWarning")
def test_whole_model():
    from detectron2.config import CfgNode, get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    cfg.merge_from_other_cfg(CfgNode.load_cfg(golden_model_yaml("retinanet_tiny")))
    model = build_model(cfg).eval()
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    flops = FlopCountAnalysis(model, [{"image": image}])
    by_module = flops.by_module()
    assert by_module["model.backbone"] > 0 and by_module["model.head"] > 0
    # four times the pixels cost four times as much
    larger = FlopCountAnalysis(model, [{"image": image.repeat(1, 2, 2)}])
    assert larger.by_module()["model.backbone"] == pytest.approx(4 * by_module["model.backbone"], rel=0.1)


def test_parameters():
    model = _Detector()
    counts = parameter_count(model)
    assert counts[""] == 3 * 8 * 9 + 8 + 20 and counts["unused"] == 20
    assert "unused" in parameter_count_table(model)


def test_unused_parameters():
    model = _Detector()
    model.conv.bias.requires_grad_(False)
    model.conv.weight.grad = torch.ones(8, 3, 3, 3)
    assert find_unused_parameters(model, INPUTS) == ["unused.weight", "unused.bias"]
    assert find_unused_parameters(model, (INPUTS,)) == ["unused.weight", "unused.bias"]
    assert model.conv.weight.grad is None
    with pytest.raises(ValueError, match="train"):
        find_unused_parameters(model.eval(), INPUTS)
