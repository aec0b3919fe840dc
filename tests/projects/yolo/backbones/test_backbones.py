"""Backbones against published networks and against what their tables say."""

import pytest
import torch
from detectron2.projects.yolo import add_yolo_config
from detectron2.projects.yolo.backbones import PAFPN, CSPDarknet, StagedBackbone
from detectron2.projects.yolo.backbones.mobile_blocks import rounded_channels
from detectron2.projects.yolo.backbones.mobilenet_v2 import mobilenet_v2
from detectron2.projects.yolo.backbones.mobilenet_v3 import mobilenet_v3
from detectron2.projects.yolo.network import build_network
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone, build_backbone

LEVELS = ["res1", "res2", "res3", "res4", "res5"]


def transfer(source: nn.Module, target: StagedBackbone) -> None:
    """Random weights of one network into the other: both list the same tensors, in the order of the layers."""
    generator = torch.Generator().manual_seed(0)
    mine, theirs = target.state_dict(), source.state_dict()
    pairs = list(zip(mine.items(), list(theirs.items())[: len(mine)], strict=True))
    for (name, own), (_, other) in pairs:
        assert own.shape == other.shape, name
        if own.is_floating_point():
            values = torch.rand(own.shape, generator=generator)
            values = 0.5 + values if own.dim() == 1 else (values - 0.5) * 3 / own[0].numel() ** 0.5
            own.copy_(values)
            other.copy_(values)
    eps = {module.eps for module in source.modules() if isinstance(module, nn.BatchNorm2d)}.pop()
    for module in target.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps


@pytest.mark.parametrize(
    ("name", "ends", "strides_at"),
    [
        ("mobilenet_v2", [1, 3, 6, 13, 17], 18),
        ("mobilenet_v3_large", [1, 3, 6, 12, 15], 16),
        ("mobilenet_v3_small", [0, 1, 3, 8, 11], 12),
    ],
)
@pytest.mark.parametrize("width", [1.0, 0.5])
def test_mobilenets_equal_the_published_ones(name: str, width: float, ends: list[int], strides_at: int) -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = getattr(models, name)(weights=None, width_mult=width).features[:strides_at].eval()
    variant = name.rpartition("_")[2]
    ours = mobilenet_v2(LEVELS, width=width) if variant == "v2" else mobilenet_v3(variant, LEVELS, width=width)
    ours.eval()
    with torch.no_grad():
        transfer(theirs, ours)
        image = torch.rand(1, 3, 64, 96)
        found, x = ours(image), image
        expected = []
        for layer in theirs:
            x = layer(x)
            expected.append(x)
    for level, end in zip(LEVELS, ends, strict=True):
        torch.testing.assert_close(found[level], expected[end], atol=1e-4, rtol=1e-4)
        shape = ours.output_shape()[level]
        assert (shape.channels, 64 // shape.stride) == (found[level].shape[1], found[level].shape[2])
    assert ours.size_divisibility == 32


def test_rounded_channels() -> None:
    assert [rounded_channels(c) for c in (3, 8, 11, 12, 16 * 0.75, 18, 19, 22.4)] == [8, 8, 16, 16, 16, 24, 24, 24]
    assert [rounded_channels(c) for c in (20, 35, 36)] == [24, 32, 40]


@pytest.mark.parametrize(("family", "size"), [("yolov3", "full"), ("yolov5", "n"), ("yolov8", "n"), ("yolox", "nano")])
def test_csp_darknet_is_the_backbone_of_its_family(family: str, size: str) -> None:
    torch.manual_seed(0)
    network = build_network(family, size, 1).eval()
    backbone = CSPDarknet(family, size, LEVELS[1:]).eval()
    state = network.state_dict()
    backbone.load_state_dict({name: state[name] for name in backbone.state_dict()})
    # What the neck reads.
    read = {source for sources in network._sources[len(backbone.layers) :] for source in sources}
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        found = backbone(image)
        x = image
        for index, layer in enumerate(network.layers[: len(backbone.layers)]):
            x = layer(x)
            assert index not in read or any(torch.equal(x, level) for level in found.values())
    assert torch.equal(x, found["res5"])
    for name, stride in zip(LEVELS[1:], (4, 8, 16, 32), strict=True):
        assert found[name].shape[1:] == (backbone.output_shape()[name].channels, 64 // stride, 64 // stride)
    assert len(CSPDarknet(family, size, ["res3"]).layers) < len(backbone.layers)


class Pyramid(Backbone):
    """Gives fixed maps."""

    def __init__(self, channels: int = 4, strides: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        names = [f"p{stride.bit_length() - 1}" for stride in strides]
        self._out_features = names
        self._out_feature_channels = dict.fromkeys(names, channels)
        self._out_feature_strides = dict(zip(names, strides, strict=True))
        self.maps = {name: torch.randn(2, channels, 64 // s, 96 // s) for name, s in zip(names, strides, strict=True)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.maps


def test_path_aggregation_by_its_formula() -> None:
    torch.manual_seed(0)
    pyramid = Pyramid()
    neck = PAFPN(pyramid)
    found = neck(torch.zeros(2, 3, 64, 96))
    n3 = pyramid.maps["p3"]

    def conv(layer: nn.Conv2d, x: Tensor, stride: int) -> Tensor:
        return F.relu(F.conv2d(x, layer.weight, layer.bias, stride=stride, padding=1))

    n4 = conv(neck.outputs[0], conv(neck.downs[0], n3, 2) + pyramid.maps["p4"], 1)
    n5 = conv(neck.outputs[1], conv(neck.downs[1], n4, 2) + pyramid.maps["p5"], 1)
    torch.testing.assert_close(found, {"p3": n3, "p4": n4, "p5": n5})
    assert {name: shape.stride for name, shape in neck.output_shape().items()} == {"p3": 8, "p4": 16, "p5": 32}
    assert neck.size_divisibility == 32
    part = PAFPN(pyramid, ["p3", "p4"], norm="BN")
    assert list(part(torch.zeros(2, 3, 64, 96))) == ["p3", "p4"]
    assert part.downs[0].bias is None


def test_path_aggregation_refuses_other_maps() -> None:
    for strides in ((8, 32), (16, 8)):
        with pytest.raises(ValueError, match="strides double"):
            PAFPN(Pyramid(strides=strides))
    mixed = Pyramid()
    mixed._out_feature_channels["p4"] = 5
    with pytest.raises(ValueError, match=r"equal channels.*\[4, 5, 4\]"):
        PAFPN(mixed)
    with pytest.raises(ValueError, match="'p9'"):
        PAFPN(Pyramid(), ["p9"])


def test_resnet_with_path_aggregation_has_the_levels_of_rcnn() -> None:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.RESNETS.DEPTH = "build_resnet_pafpn_backbone", 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS, cfg.MODEL.FPN.OUT_CHANNELS = 64, 8
    cfg.MODEL.RESNETS.OUT_FEATURES = cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    backbone = build_backbone(cfg)
    with torch.no_grad():
        shapes = {name: tuple(x.shape) for name, x in backbone(torch.zeros(1, 3, 64, 64)).items()}
    assert shapes == {f"p{level}": (1, 8, 64 >> level, 64 >> level) for level in (2, 3, 4, 5, 6)}
    assert backbone.output_shape()["p6"] == ShapeSpec(channels=8, stride=64)


def wrong(**settings: object) -> None:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    for key, value in settings.items():
        cfg.merge_from_list([f"MODEL.{key.replace('__', '.')}", value])
    build_backbone(cfg)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"BACKBONE__NAME": "build_pafpn_backbone", "YOLO__BACKBONE__BOTTOM_UP": "build_fpn_backbone"}, "without neck"),
        ({"BACKBONE__NAME": "build_mobilenet_v3_backbone", "YOLO__BACKBONE__MOBILENET__VARIANT": "huge"}, "'huge'"),
        ({"BACKBONE__NAME": "build_mobilenet_v3_backbone", "YOLO__BACKBONE__MOBILENET__WIDTH": 0.0}, "WIDTH is 0"),
        ({"BACKBONE__NAME": "build_mobilenet_v2_backbone", "YOLO__BACKBONE__MOBILENET__WIDTH": -1.0}, "WIDTH is -1"),
        ({"BACKBONE__NAME": "build_mobilenet_v2_backbone", "YOLO__BACKBONE__OUT_FEATURES": ["c3"]}, "allowed are res1"),
        ({"BACKBONE__NAME": "build_csp_darknet_backbone", "YOLO__BACKBONE__CSP_DARKNET__FAMILY": "yolov7"}, "yolov7"),
        ({"BACKBONE__NAME": "build_csp_darknet_backbone", "YOLO__BACKBONE__CSP_DARKNET__SIZE": "n6"}, "'n6'"),
    ],
)
def test_mistakes_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong(**settings)
