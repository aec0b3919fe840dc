"""Outputs and gradients of small backbones against golden numbers."""

from collections.abc import Callable

import pytest
import torch

from detectron2.modeling.backbone import FPN, Backbone, BasicStem, BottleneckBlock, ResNet
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from detectron2.modeling.backbone.resnet import BasicBlock
from tests.facts import golden


def _resnet(block_class: type, out_features: list[str], num_classes: int | None = None, **arguments) -> ResNet:
    widths = [(8, 16, 1), (16, 24, 2)]
    stages = [
        ResNet.make_stage(block_class, 2, in_channels=i, out_channels=o, stride_per_block=[stride, 1], **arguments)
        for i, o, stride in widths
    ]
    return ResNet(BasicStem(3, 8, "BN"), stages, num_classes=num_classes, out_features=out_features)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "resnet_basic": lambda: _resnet(BasicBlock, ["stem", "res2", "res3"]),
    "resnet_bottleneck": lambda: _resnet(
        BottleneckBlock, ["res3", "linear"], num_classes=7, bottleneck_channels=8, num_groups=2
    ),
    "fpn_sum_p6p7": lambda: FPN(
        _resnet(BasicBlock, ["res2", "res3"]), ["res2", "res3"], 12, top_block=LastLevelP6P7(24, 12, "res3")
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_outputs_gradients_and_parameter_names(name):
    numbers = {key: torch.from_numpy(array) for key, array in golden(f"backbones/{name}").items()}
    weights = {key[2:]: value for key, value in numbers.items() if key.startswith("w/")}
    model = BACKBONES[name]().eval()
    assert list(model.state_dict()) == list(weights)
    model.load_state_dict(weights)

    x = numbers["x"].float().requires_grad_()
    outputs = model(x)
    assert sorted(outputs) == sorted(key[4:] for key in numbers if key.startswith("out_"))
    for key, output in outputs.items():
        torch.testing.assert_close(output, numbers[f"out_{key}"], rtol=1e-4, atol=1e-4)

    loss = sum(output.square().mean() for output in outputs.values())
    torch.testing.assert_close(loss, numbers["loss_sum_mean_square"], rtol=1e-4, atol=1e-4)
    loss.backward()
    torch.testing.assert_close(x.grad, numbers["grad_x"].float(), rtol=1e-3, atol=1e-4)
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad.norm(), numbers[f"gnorm/{key}"], rtol=1e-3, atol=1e-5)
