"""Finding convolutions by their connections, and weights with folded normalisation."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.families import FAMILIES
from detectron2.projects.yolo.network import YOLONetwork, build_network
from detectron2.projects.yolo.weights import convert_file
from detectron2.projects.yolo.weights.conv_graph import ConvGraph, ConvNode, concatenated, match, merged
from detectron2.projects.yolo.weights.convert import network_on_meta
from detectron2.projects.yolo.weights.network_graph import network_graph
from detectron2.projects.yolo.weights.onnx_reader import fill_folded, read_onnx
from torch import nn

NANO = Path(__file__).resolve().parents[5] / "shared" / "data" / "yolox_nano" / "yolox_nano_coco_416.onnx"


def disguised(graph: ConvGraph) -> tuple[ConvGraph, dict[str, str]]:
    """The same graph in another order under other names, and the new name of each."""
    nodes = list(graph.nodes)
    random.Random(0).shuffle(nodes)
    new = {node.name: f"c{index}" for index, node in enumerate(nodes)}
    renamed = [
        ConvNode(new[node.name], node.kind, tuple(frozenset(new[name] for name in part) for part in node.source))
        for node in nodes
    ]
    return ConvGraph(tuple(renamed)), new


def with_statistics(family: str, size: str) -> YOLONetwork:
    """A network whose normalisations are not neutral."""
    torch.manual_seed(0)
    network = build_network(family, size, 5).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean)
            nn.init.normal_(module.bias)
            nn.init.uniform_(module.weight, 0.5, 2)
    return network


@pytest.mark.parametrize("family", FAMILIES)
def test_convolutions_are_found_again(family: str) -> None:
    size = next(iter(FAMILIES[family].scales))
    graph = network_graph(network_on_meta(family, size, 5))
    theirs, new = disguised(graph)
    assert len(graph.nodes) > 10
    assert match(graph, theirs) == new


def test_connections_of_a_block() -> None:
    """The first C3 of YOLOX: two branches, of which the longer has a residual connection, joined in this order."""
    source = {node.name: node.source for node in network_graph(network_on_meta("yolox", "nano", 5)).nodes}
    block = "layers.2"
    assert source["layers.0.conv"] == ()
    assert source[f"{block}.main"] == source[f"{block}.side"] == (frozenset(["layers.1.pointwise"]),)
    longer = frozenset([f"{block}.main", f"{block}.blocks.0.second.pointwise"])
    assert source[f"{block}.merge"] == (longer, frozenset([f"{block}.side"]))


def test_parts_of_feature_maps() -> None:
    a, b = (frozenset("a"),), (frozenset("b"),)
    assert concatenated([a, b, a]) == (frozenset("a"), frozenset("b"), frozenset("a"))
    assert merged([a, (), b]) == (frozenset("ab"),)
    assert merged([concatenated([a, b]), concatenated([b, b])]) == (frozenset("ab"), frozenset("b"))
    assert merged([concatenated([a, b]), a]) == (frozenset("ab"),)
    assert merged([()]) == ()


def test_other_connections_are_an_error() -> None:
    graph = network_graph(network_on_meta("yolox", "nano", 5))
    nodes = list(disguised(graph)[0].nodes)
    swapped = next(i for i, node in enumerate(nodes) if len(node.source) == 2)
    nodes[swapped] = replace(nodes[swapped], source=nodes[swapped].source[::-1])
    with pytest.raises(ValueError, match="connects them in another way"):
        match(graph, ConvGraph(tuple(nodes)))


def test_other_shapes_are_listed() -> None:
    graphs = [network_graph(network_on_meta("yolox", "nano", classes)) for classes in (5, 6)]
    with pytest.raises(ValueError, match="missing 3 x weight 5x64x1x1.*\n.*not used 3 x weight 6x64x1x1"):
        match(*graphs)


def test_twins_are_an_error() -> None:
    twins = ConvGraph((ConvNode("a", "k", ()), ConvNode("b", "k", ())))
    with pytest.raises(ValueError, match="cannot be told apart by their place: a, b"):
        match(twins, twins)


@pytest.mark.parametrize(("family", "size"), [("yolox", "nano"), ("yolov8", "n")])
def test_folded_weights_predict_the_same(family: str, size: str) -> None:
    network = with_statistics(family, size)
    weights, biases = {}, {}
    for name, conv in network.named_modules():
        if not isinstance(conv, nn.Conv2d):
            continue
        norm = getattr(conv, "norm", None)
        scale = torch.ones(conv.out_channels) if norm is None else norm.weight / (norm.running_var + norm.eps).sqrt()
        weights[name] = (conv.weight * scale[:, None, None, None]).detach()
        biases[name] = (conv.bias if norm is None else norm.bias - norm.running_mean * scale).detach()
    folded = build_network(family, size, 5).eval()
    folded.load_state_dict(fill_folded(folded, weights, biases))
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 64)
        for ours, theirs in zip(folded(image), network(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_tensors_that_no_convolution_gives_are_an_error() -> None:
    network = network_on_meta("yolox", "nano", 5)
    with pytest.raises(ValueError, match="642 tensors of the network are not given"):
        fill_folded(network, {}, {})


def test_missing_package_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"detectron2\[onnx\]"):
        read_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"no protocol buffer"])
def test_broken_files(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ValueError, match="bad.onnx: not "):
        convert_file(tmp_path / "bad.onnx", "yolox", "nano")


def test_trained_nano_predicts_as_the_file() -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    if not NANO.is_file():
        pytest.skip("needs ../shared/data/yolox_nano, which is not on this machine")
    network = build_network("yolox", "nano", 80).eval()
    network.load_state_dict(convert_file(NANO, "yolox", "nano"))
    image = np.random.RandomState(0).randint(0, 256, (1, 3, 416, 416)).astype(np.float32)
    session = runtime.InferenceSession(str(NANO), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: image})[0]
    with torch.no_grad():
        raw = network(torch.from_numpy(image))
    ours = torch.cat([level.flatten(2).transpose(1, 2) for level in raw], 1)
    ours[..., 4:] = ours[..., 4:].sigmoid()
    torch.testing.assert_close(ours, torch.from_numpy(expected), rtol=0, atol=1e-3)
