"""Networks of files give the feature maps of the networks that were written, and train and quantize as others do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.projects.yolo import add_yolo_config
from detectron2.projects.yolo.backbones.imported import ImportedBackbone, load_graph
from detectron2.projects.yolo.backbones.imported.graph import build_steps
from torch import Tensor, nn

from detectron2.config import get_cfg
from detectron2.layers import Add, Conv2d
from detectron2.modeling import build_model
from tests.projects.yolo.test_meta_arch import batch
from third_party.quantization import QuantAdd, QuantConcat, QuantConv2d

onnx = pytest.importorskip("onnx")
helper = onnx.helper
ReferenceEvaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator


class Squeeze(nn.Module):
    """The gate of a squeeze-and-excitation block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * nn.functional.hardsigmoid(self.conv(nn.functional.adaptive_avg_pool2d(x, 1)))


class Small(nn.Module):
    """A classifier with the operators of usual ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.stage2 = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.Hardswish(inplace=True))
        self.gate = Squeeze(8)
        self.stage3 = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1), nn.SiLU(inplace=True), nn.Dropout(0.1))
        self.stage4 = nn.Sequential(nn.Conv2d(16, 24, 5, 2, 2), nn.ReLU6(inplace=True), nn.AvgPool2d(3, 1, 1))
        self.stage5 = nn.Sequential(nn.Conv2d(24, 32, 3, 2, 1), nn.LeakyReLU(0.2))
        self.classifier = nn.Linear(32, 5)

    def features(self, x: Tensor) -> dict[str, Tensor]:
        x = self.pool(self.stem(x))
        y = self.gate(self.stage2(x))
        y += x
        x = torch.cat([x, y], 1)
        res3 = self.stage3(x)
        res4 = self.stage4(res3 * 0.5 + 0.25)
        return {"res3": res3, "res4": res4, "res5": self.stage5(res4)}

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)["res5"].flatten(2).mean(2))


FEATURES = ["stage3", "stage4", "stage5"]


@pytest.fixture(scope="module")
def small() -> Small:
    torch.manual_seed(0)
    module = Small()
    for norm in (layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        nn.init.uniform_(norm.weight, 0.5, 2.0)
    return module.eval()


@pytest.fixture(scope="module")
def traced(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traced") / "small.pt"
    torch.jit.trace(small, torch.rand(1, 3, 64, 64)).save(str(path))
    return path


class Features(nn.Module):
    """The feature maps in place of the classes."""

    def __init__(self, network: Small) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.features(x).values())


@pytest.fixture(scope="module")
def exported(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("exported") / "small.onnx"
    image = (torch.rand(1, 3, 64, 64),)
    torch.onnx.export(Features(small), image, str(path), dynamo=True, output_names=FEATURES, verbose=False)
    return path


def test_traced_modules_give_their_features(small: Small, traced: Path) -> None:
    backbone = ImportedBackbone(load_graph(str(traced)), FEATURES).eval()
    shapes = backbone.output_shape()
    assert {name: (shape.channels, shape.stride) for name, shape in shapes.items()} == {
        "res3": (16, 8),
        "res4": (24, 16),
        "res5": (32, 32),
    }
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), small.features(image))
    kinds = [type(layer) for layer in backbone.layers.values()]
    assert kinds.count(Conv2d) == 6
    assert kinds.count(Add) == 1
    assert isinstance(backbone.layers["stem_0_convolution"].norm, nn.BatchNorm2d)


def test_exported_networks_give_their_features(small: Small, exported: Path) -> None:
    backbone = ImportedBackbone(load_graph(str(exported)), FEATURES).eval()
    image = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), small.features(image), atol=1e-5, rtol=1e-5)
    assert sum(type(layer) is Conv2d for layer in backbone.layers.values()) == 6


def constant(name: str, values: object) -> "onnx.TensorProto":
    return onnx.numpy_helper.from_array(np.asarray(values), name)


def write(path: Path, nodes: list, constants: list) -> Path:
    """A file whose operators lead from "image" to "last"."""
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "net", [value("image", kind, [1, 3, 64, 64])], [value("last", kind, None)], constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), str(path))
    return path


F32 = np.float32
MAPS: dict[str, tuple[list, list]] = {
    "clip": (
        [("Clip", ["x", "low", "high"], {}), ("Clip", ["x", "zero", "six"], {}), ("Clip", ["x", "zero"], {})],
        [constant(name, F32(v)) for name, v in (("low", -0.5), ("high", 0.7), ("zero", 0.0), ("six", 6.0))],
    ),
    "gates": ([("HardSigmoid", ["x"], {"alpha": 0.3, "beta": 0.4}), ("HardSwish", ["x"], {}), ("Tanh", ["x"], {})], []),
    "arithmetic": (
        [("Sub", ["c", "x"], {}), ("Div", ["x", "c"], {}), ("Mul", ["x", "c"], {}), ("Add", ["c", "x"], {})],
        [constant("c", np.linspace(1, 2, 8, dtype=F32).reshape(1, 8, 1, 1))],
    ),
    "pooling": (
        [
            ("MaxPool", ["x"], {"kernel_shape": [3, 3], "pads": [0, 0, 1, 1], "strides": [2, 2]}),
            ("MaxPool", ["x"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}),
            ("AveragePool", ["x"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ],
        [],
    ),
    "sizes": (
        [
            (
                "Resize",
                ["x", "", "twice"],
                {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            ),
            ("Resize", ["x", "", "twice"], {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}),
            ("Pad", ["x", "sides"], {}),
        ],
        [constant("twice", F32([1, 1, 2, 2])), constant("sides", np.int64([0, 0, 1, 2, 0, 0, 1, 0]))],
    ),
    "means": (
        [("GlobalAveragePool", ["x"], {}), ("ReduceMean", ["x", "axes"], {})],
        [constant("axes", np.int64([2, -1]))],
    ),
}


@pytest.mark.parametrize("kind", MAPS)
def test_operators_compute_what_the_standard_says(kind: str, tmp_path: Path) -> None:
    operators, constants = MAPS[kind]
    generator = np.random.default_rng(0)
    weight, statistics = generator.normal(size=(8, 3, 3, 3)).astype(F32), generator.uniform(0.5, 2, (4, 8)).astype(F32)
    names = ("scale", "offset", "mean", "variance")
    constants = [*constants, constant("w", weight), *map(constant, names, statistics)]
    stem = [
        helper.make_node("Conv", ["image", "w"], ["conv"], "stem", strides=[4, 4], pads=[0, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv", *names], ["x"], "norm", epsilon=1e-3),
    ]
    nodes = [
        helper.make_node(operator, inputs, [f"out{index}"], **attributes)
        for index, (operator, inputs, attributes) in enumerate(operators)
    ]
    path = write(tmp_path / "net.onnx", [*stem, *nodes, helper.make_node("Relu", ["out0"], ["last"])], constants)
    graph = load_graph(str(path))
    values = [graph.value(name) for name in ("x", *(f"out{index}" for index in range(len(nodes))))]
    steps, layers = build_steps(graph, values)
    image = generator.normal(size=(1, 3, 64, 64)).astype(F32)
    found = {"image": torch.from_numpy(image)}
    for step in steps:
        found[step.output] = layers[step.layer].eval()(*(found[name] for name in step.inputs))
    expected = ReferenceEvaluator(str(path)).run(values, {"image": image})
    for value, tensor in zip(values, expected, strict=True):
        torch.testing.assert_close(found[value].detach().numpy(), tensor, atol=1e-5, rtol=1e-5)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Two convolutions with an operator between that images are not classified with."""
    weights = [constant("a", np.ones((4, 3, 2, 2), F32)), constant("b", np.ones((4, 4, 2, 2), F32))]
    nodes = [
        helper.make_node("Conv", ["image", "a"], ["first"], "conv1", strides=[2, 2]),
        helper.make_node("Einsum", ["first"], ["odd"], "twist", equation="nchw->nchw"),
        helper.make_node("Conv", ["odd", "b"], ["last"], "conv2", strides=[2, 2]),
    ]
    return write(tmp_path / "plain.onnx", nodes, weights)


def test_mistakes_are_named(plain: Path, traced: Path, tmp_path: Path) -> None:
    graph = load_graph(str(plain))
    assert list(ImportedBackbone(graph, ["first"]).layers) == ["conv1"]
    with pytest.raises(ValueError, match="Einsum 'twist': the operator Einsum is not supported"):
        ImportedBackbone(graph, ["first", "last"])
    with pytest.raises(ValueError, match="'frist'.*near are first"):
        ImportedBackbone(graph, ["frist"])
    with pytest.raises(ValueError, match="FEATURES is empty"):
        ImportedBackbone(graph, [])
    with pytest.raises(ValueError, match="images of 4 channels"):
        ImportedBackbone(graph, ["conv1"], in_channels=4)
    with pytest.raises(ValueError, match="equal strides"):
        ImportedBackbone(load_graph(str(traced)), ["stem", "stem.0"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_graph("nowhere.onnx")
    with pytest.raises(ValueError, match="FILE is empty"):
        load_graph("")
    for name in ("broken.onnx", "broken.pt"):
        (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(ValueError, match=name):
            load_graph(str(tmp_path / name))


def test_scripted_control_flow_is_refused(small: Small, tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    torch.jit.script(nn.Sequential(small.stem, nn.BatchNorm2d(8))).save(str(path))
    with pytest.raises(ValueError, match=r"prim::If.*trace the module|running statistics"):
        ImportedBackbone(load_graph(str(path)), ["0"])


@pytest.mark.parametrize("kind", ["traced", "exported"])
def test_they_train_quantized(kind: str, request: pytest.FixtureRequest) -> None:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE, cfg.MODEL.YOLO.FAMILY = "YOLO", "cpu", "backbone"
    cfg.MODEL.BACKBONE.NAME = "build_pafpn_backbone"
    cfg.MODEL.FPN.IN_FEATURES, cfg.MODEL.FPN.OUT_CHANNELS, cfg.MODEL.FPN.NORM = ["res3", "res4", "res5"], 16, "BN"
    node = cfg.MODEL.YOLO
    node.BACKBONE.BOTTOM_UP, node.NUM_CLASSES = "build_imported_backbone", 3
    node.BACKBONE.IMPORTED.FILE = str(request.getfixturevalue(kind))
    node.BACKBONE.IMPORTED.FEATURES = FEATURES
    cfg.MODEL.QUANTIZATION.ENABLED = True
    model = build_model(cfg)
    layers = model.network.backbone.pyramid.bottom_up.layers
    kinds = [type(layer) for layer in layers.values()]
    assert (kinds.count(QuantConv2d), kinds.count(QuantAdd), kinds.count(QuantConcat)) == (6, 1, 1)
    sum(model(batch()).values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
