"""The loss in the statistics of evaluation."""

import pytest
import torch
from torch import nn

from detectron2.modeling import build_model
from tests.engine.toy import detection_sample
from tests.modeling.tiny_models import tiny_config
from third_party.post_training.loss import DetectionLoss, loss_mode


@pytest.mark.parametrize("name", ["retinanet_tiny", "faster_rcnn_fpn_tiny"])
def test_the_same_model_has_the_same_loss_and_stays_as_it_is(name):
    cfg = tiny_config(name)
    cfg.MODEL.DEVICE, cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT = "cpu", "BN", 0
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    batch, loss, drawn = [detection_sample(0, 3)], DetectionLoss(), torch.get_rng_state()
    values = [loss(model, batch) for _ in range(3)]
    assert values[0] == values[1] == values[2] > 0
    assert torch.equal(torch.get_rng_state(), drawn) and not any(module.training for module in model.modules())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert set(loss.losses(model, batch)) >= {"loss_cls", "loss_box_reg"}
    with loss_mode(model):
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        assert model.training and norms and not any(norm.training for norm in norms)
