"""Parameter counts, names and shapes of every size, against the published implementations."""

import pytest
import torch
from detectron2.projects.yolo.families import FAMILIES
from detectron2.projects.yolo.families.names import is_constant
from detectron2.projects.yolo.network import YOLONetwork, build_network

from tests.projects.yolo.facts import fact

# Family here -> family in the facts, and name of a size there.
MODELS = {
    "yolov7": ("yolov7 (WongKinYiu/yolov7)", "training/yolov7-{}"),
    "gelan": ("yolov9 (WongKinYiu/yolov9)", "gelan-{}"),
    "yolov9": ("yolov9 (WongKinYiu/yolov9)", "yolov9-{}"),
    "yolo11": ("yolo11 (ultralytics 8.4.190)", "yolo11{}"),
    "yolo12": ("yolo12 (ultralytics 8.4.190)", "yolo12{}"),
    "yolo26": ("yolo26 (ultralytics 8.4.190)", "yolo26{}"),
    "yolov10": ("yolov10 (ultralytics 8.4.190)", "yolov10{}"),
    "yolov3": ("yolov3 (ultralytics/yolov3)", "yolov3-{}"),
    "darknet_yolov3": ("yolov3 (ultralytics/yolov3)", "yolov3-{}"),
    "yolov5": ("yolov5 (ultralytics/yolov5)", "yolov5{}"),
    "yolov8": ("yolov8 (ultralytics 8.4.190)", "yolov8{}"),
    "yolox": ("yolox (Megvii)", "yolox-{}"),
}
# Where the size is not part of the name.
WITHOUT_SIZE = {"yolov3": "yolov3", "darknet_yolov3": "yolov3", "yolov7": "training/yolov7"}
# Published state dict -> family and size.
STATE_DICTS = {
    "yolov7": ("yolov7", "base"),
    "yolov7-tiny": ("yolov7", "tiny"),
    "gelan-t": ("gelan", "t"),
    "gelan-s": ("gelan", "s"),
    "gelan-c": ("gelan", "c"),
    "yolov9-t": ("yolov9", "t"),
    "yolov9-s": ("yolov9", "s"),
    "yolov9-c": ("yolov9", "c"),
    "yolo11n": ("yolo11", "n"),
    "yolo12n": ("yolo12", "n"),
    "yolo26n": ("yolo26", "n"),
    "yolov10n": ("yolov10", "n"),
    "yolov10n-thu": ("yolov10", "n"),
    "yolov3-tiny": ("yolov3", "tiny"),
    "yolov5-n": ("yolov5", "n"),
    "yolov5-s": ("yolov5", "s"),
    "yolov8-n": ("yolov8", "n"),
    "yolov8-s": ("yolov8", "s"),
    "yolox-nano": ("yolox", "nano"),
    "yolox-tiny": ("yolox", "tiny"),
    "yolox-s": ("yolox", "s"),
}
SIZES = [(family, size) for family in FAMILIES for size in FAMILIES[family].scales]


def on_meta(family: str, size: str) -> YOLONetwork:
    with torch.device("meta"):
        return build_network(family, size, 80)


@pytest.mark.parametrize(("family", "size"), SIZES)
def test_number_of_parameters(family: str, size: str) -> None:
    group, pattern = MODELS[family]
    models = fact("yolo_models")["families"][group]
    expected = models.get(pattern.format(size)) or models.get(f"training/yolov7{size}") or models[WITHOUT_SIZE[family]]
    network = on_meta(family, size)
    # The published count includes the frozen bins of the box distribution, which are no parameters here.
    assert sum(parameter.numel() for parameter in network.parameters()) == expected["params_requires_grad"]
    assert network.strides == tuple(expected["strides"])


@pytest.mark.parametrize("name", STATE_DICTS)
def test_names_and_shapes(name: str) -> None:
    network = on_meta(*STATE_DICTS[name])
    own, names = network.state_dict(), network.source_names()
    entries = fact(f"yolo_state_dicts/{name}")["state_dict"]
    expected = {entry[0]: tuple(entry[1]) for entry in entries if not is_constant(entry[0])}
    assert set(names) == set(own)
    assert len(set(names.values())) == len(names)
    assert {names[key]: tuple(value.shape) for key, value in own.items()} == expected


@pytest.mark.parametrize(("family", "size"), SIZES)
def test_published_names_are_unique(family: str, size: str) -> None:
    network = on_meta(family, size)
    names = network.source_names()
    assert set(names) == set(network.state_dict())
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(("family", "size"), SIZES)
def test_output_shapes(family: str, size: str) -> None:
    network = on_meta(family, size).eval()
    shapes = [tuple(raw.shape) for raw in network(torch.zeros(2, 3, 128, 192, device="meta"))]
    assert shapes == [(2, *shape) for shape in network.output_shapes(128, 192)]
