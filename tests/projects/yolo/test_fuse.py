"""Fused networks against the networks that they came from."""

import pytest
import torch
from detectron2.projects.yolo.fuse import drop_auxiliary, fuse_for_inference, fuse_implicit, fuse_reparameterized
from detectron2.projects.yolo.heads import AnchorBasedHead
from detectron2.projects.yolo.layers import LargeKernelConv, ReparamConv
from detectron2.projects.yolo.network import YOLONetwork, build_network
from torch import nn

from detectron2.layers import Conv2d
from tests.projects.yolo.facts import fact


def randomize(module: nn.Module) -> nn.Module:
    """Normalisation that does something; evaluation mode, double precision."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return module.eval().double()


@pytest.mark.parametrize(
    "block",
    [
        lambda: ReparamConv(4, 6),
        lambda: ReparamConv(4, 4, stride=2, identity=True),
        lambda: ReparamConv(4, 4, identity=True),
        lambda: LargeKernelConv(4),
    ],
)
def test_one_convolution_equals_the_block(block: nn.Module) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(randomize(block()))
    x = torch.randn(2, 4, 8, 10, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
        assert fuse_reparameterized(model) == ["0"]
        assert type(model[0]) is Conv2d and model[0].norm is None
        torch.testing.assert_close(model(x), expected, rtol=1e-12, atol=1e-12)
    assert fuse_reparameterized(model) == []


def test_identity_is_part_of_the_sum_only_where_asked_for() -> None:
    assert ReparamConv(4, 4, identity=True).identity is not None
    assert ReparamConv(4, 4).identity is None
    assert ReparamConv(4, 4, stride=2, identity=True).identity is None


def test_implicit_knowledge_folds_into_the_convolutions() -> None:
    torch.manual_seed(0)
    anchors = (((10.0, 13.0), (16.0, 30.0)), ((30.0, 61.0), (62.0, 45.0)))
    head = AnchorBasedHead([4, 6], 3, [8, 16], anchors=anchors, implicit=True).eval().double()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    features = [torch.randn(2, 4, 4, 4).double(), torch.randn(2, 6, 2, 2).double()]
    with torch.no_grad():
        expected = head(features)
        assert fuse_implicit(head) == [""]
        for ours, theirs in zip(head(features), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert not [name for name, _ in head.named_parameters() if "implicit" in name]
    assert fuse_implicit(head) == []


@pytest.mark.parametrize(("family", "size"), [("yolov9", "t"), ("yolov10", "n"), ("yolov7", "tiny")])
def test_simplified_network_predicts_the_same(family: str, size: str) -> None:
    torch.manual_seed(0)
    network = build_network(family, size, 5).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = network(image)
        simplify(network)
        for ours, theirs in zip(network(image), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert len(network.train()(image)) == len(network.strides)


def simplify(network: YOLONetwork) -> list[str]:
    return fuse_reparameterized(network) + fuse_implicit(network) + drop_auxiliary(network)


def folded_size(network: nn.Module) -> int:
    """Parameters with every normalisation folded: its two vectors become one bias."""
    norms = sum(layer.num_features for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    return sum(parameter.numel() for parameter in network.parameters()) - norms


# Published model, network, and frozen bins that the published count includes.
FUSED = [
    ("yolov9 (WongKinYiu/yolov9)", "gelan-t", "gelan", "t", 16),
    ("yolov9 (WongKinYiu/yolov9)", "gelan-c", "gelan", "c", 16),
    ("yolov7 (WongKinYiu/yolov7)", "deploy/yolov7", "yolov7", "base", 0),
    ("yolov7 (WongKinYiu/yolov7)", "deploy/yolov7-w6", "yolov7", "w6", 0),
    ("yolov7 (WongKinYiu/yolov7)", "deploy/yolov7-e6e", "yolov7", "e6e", 0),
    ("yolov10 (ultralytics 8.4.190)", "yolov10n", "yolov10", "n", 16),
    ("yolo26 (ultralytics 8.4.190)", "yolo26n", "yolo26", "n", 0),
]


@pytest.mark.parametrize(("group", "model", "family", "size", "bins"), FUSED)
def test_size_of_the_simplified_network(group: str, model: str, family: str, size: str, bins: int) -> None:
    expected = fact("yolo_models")["families"][group][model]["fused_params"]
    with torch.device("meta"):
        network = build_network(family, size, 80)
    simplify(network)
    assert folded_size(network) == expected - bins


def test_nothing_is_lost_where_there_is_nothing_to_simplify() -> None:
    with torch.device("meta"):
        network = build_network("yolov8", "n", 80)
    before = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert simplify(network) == []
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == before


@pytest.mark.parametrize(("family", "size"), [("yolov8", "n"), ("yolov7", "tiny"), ("yolov10", "n")])
@torch.no_grad()
def test_all_simplifications_at_once(family: str, size: str) -> None:
    torch.manual_seed(0)
    network = randomize(build_network(family, size, 3))
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    expected = network(image)
    fused = fuse_for_inference(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    for ours, theirs in zip(fused(image), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
