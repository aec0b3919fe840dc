"""Conversion by name: every tensor once, mistakes listed, and predictions of converted files equal to the goldens."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from detectron2.projects.yolo import add_yolo_config
from detectron2.projects.yolo.families.names import is_constant
from detectron2.projects.yolo.network import build_network
from detectron2.projects.yolo.weights import convert_file, convert_state_dict
from detectron2.projects.yolo.weights.convert import network_on_meta
from torch import Tensor

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from tests.projects.yolo.facts import errors, fact, golden, golden_entry, golden_image
from tests.projects.yolo.families.test_facts import STATE_DICTS
from tests.projects.yolo.weights.foreign_files import published, save_foreign

ROOT = Path(__file__).resolve().parents[4]
WITHOUT_IMPLICIT = {"yolov7-deploy": ("yolov7", "base"), "yolov7-tiny-deploy": ("yolov7", "tiny")}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = ROOT / "projects" / "YOLO" / "tools" / "convert_weights.py"
    spec = importlib.util.spec_from_file_location("convert_weights", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def empty_state(name: str, family: str, size: str) -> dict[str, Tensor]:
    """Tensors without memory under the published names, with the anchors of the family."""
    network = network_on_meta(family, size, 80)
    made = {}
    for key, shape, dtype in fact(f"yolo_state_dicts/{name}")["state_dict"]:
        made[key] = torch.empty(shape, dtype=torch.int64 if "int" in dtype else torch.float32, device="meta")
        if key.endswith(".anchors"):
            made[key] = torch.tensor(network.anchors) / torch.tensor(network.strides)[:, None, None]
    return made


def own_published(family: str, size: str, num_classes: int) -> dict[str, Tensor]:
    """A state dict under the published names, of this many classes, made from the network here."""
    network = build_network(family, size, num_classes)
    return {theirs: network.state_dict()[ours] for ours, theirs in network.source_names().items()}


@pytest.mark.parametrize("name", [*STATE_DICTS, *WITHOUT_IMPLICIT])
def test_every_tensor_of_published_state_dicts_is_used_once(name: str) -> None:
    family, size = {**STATE_DICTS, **WITHOUT_IMPLICIT}[name]
    source = empty_state(name, family, size)
    network = network_on_meta(family, size, 80)
    converted = convert_state_dict(source, network)
    own = network.state_dict()
    assert {key: (value.shape, value.dtype) for key, value in converted.items()} == {
        key: (value.shape, value.dtype) for key, value in own.items()
    }
    used = [id(tensor) for key, tensor in converted.items() if ".implicit" not in key or name in STATE_DICTS]
    assert sorted(used) == sorted(id(tensor) for key, tensor in source.items() if not is_constant(key))


@pytest.mark.parametrize("name", WITHOUT_IMPLICIT)
def test_absent_implicit_tensors_change_nothing(name: str) -> None:
    family, size = WITHOUT_IMPLICIT[name]
    converted = convert_state_dict(empty_state(name, family, size), network_on_meta(family, size, 80))
    implicit = {key: set(value.flatten().tolist()) for key, value in converted.items() if "implicit" in key}
    assert implicit and all(values == ({0.0} if "shifts" in key else {1.0}) for key, values in implicit.items())


@pytest.mark.parametrize(
    ("name", "family", "size", "whole"), [("yolov8-n", "yolov8", "n", True), ("yolox-nano", "yolox", "nano", False)]
)
def test_converted_files_predict_as_published(
    tmp_path: Path, tool: ModuleType, name: str, family: str, size: str, whole: bool
) -> None:
    stem = name.replace("-n", "n") if family == "yolov8" else name
    arrays, entry = golden(stem), golden_entry(stem)
    tensors = published(name, entry.get("conv_gain", 1.0))
    source, output = tmp_path / "source.pt", tmp_path / "converted.pth"
    if whole:
        save_foreign(source, {"model": None, "ema": tensors})
    else:
        torch.save({"model": tensors, "start_epoch": 1}, source)
    assert tool.main([str(source), "--family", family, "--size", size, "--output", str(output)]) == 0

    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE = "YOLO", "cpu"
    cfg.MODEL.YOLO.FAMILY, cfg.MODEL.YOLO.SIZE = family, size
    model = build_model(cfg).eval()
    loaded = DetectionCheckpointer(model).load(str(output))
    assert "network." not in str(loaded.get("__missing__", ""))
    with torch.no_grad():
        raw = model.network(torch.from_numpy(golden_image()))
    for index, level in enumerate(raw):
        keys = (f"box{index}", f"cls{index}") if whole else (f"raw{index}",)
        expected = np.concatenate([arrays[key] for key in keys], 1)
        assert np.abs(errors(level.numpy(), expected)).max() < 2e-5


def test_mistakes_are_listed_with_shapes() -> None:
    network = network_on_meta("yolov8", "n", 3)
    source = own_published("yolov8", "n", 3)
    source.pop("model.0.conv.weight")
    source["extra.weight"] = torch.zeros(2, 5)
    source["model.1.bn.bias"] = torch.zeros(4)
    with pytest.raises(ValueError) as error:
        convert_state_dict(source, network)
    lines = str(error.value).splitlines()
    assert lines[1:] == [
        "1 missing:",
        "  model.0.conv.weight (16x3x3x3)",
        "1 not used:",
        "  extra.weight (2x5)",
        "1 of another shape:",
        "  model.1.bn.bias (4 in the file, 32 in the network)",
    ]


def test_other_anchors_are_refused() -> None:
    network = network_on_meta("yolov5", "n", 2)
    source = own_published("yolov5", "n", 2)
    anchors = torch.tensor(network.anchors) / torch.tensor(network.strides)[:, None, None]
    convert_state_dict({**source, "model.24.anchors": anchors.half()}, network)
    with pytest.raises(ValueError, match="model.24.anchors.*other anchors"):
        convert_state_dict({**source, "model.24.anchors": anchors * 1.1}, network)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--family", "yolov5", "--size", "n"], ["missing", "not used", "do not fit yolov5 of size n"]),
        (["--family", "yolov8", "--size", "s"], ["of another shape", "16x3x3x3 in the file, 32x3x3x3"]),
        (["--family", "yolov8", "--size", "n", "--num-classes", "4"], ["with 4 classes", "model.22.cv3.0.2.bias"]),
        (["--family", "yolov8", "--size", "q"], ["unknown size of yolov8: 'q'"]),
        (["--family", "yolov88", "--size", "n"], ["did you mean 'yolov8'"]),
    ],
)
def test_wrong_arguments_write_nothing(
    tmp_path: Path, tool: ModuleType, capsys: pytest.CaptureFixture, arguments: list[str], messages: list[str]
) -> None:
    source, output = tmp_path / "source.pt", tmp_path / "out.pth"
    torch.save(own_published("yolov8", "n", 3), source)
    assert tool.main([str(source), "--num-classes", "3", *arguments, "--output", str(output)]) == 1
    told = capsys.readouterr().err
    assert all(message in told for message in messages), told
    assert [file.name for file in tmp_path.iterdir()] == ["source.pt"]


def test_a_refused_file_writes_nothing(tmp_path: Path, tool: ModuleType, capsys: pytest.CaptureFixture) -> None:
    source = save_foreign(tmp_path / "source.pt", {"model": {}}, hook=print)
    arguments = [str(source), "--family", "yolov8", "--size", "n", "--output", str(tmp_path / "out.pth")]
    assert tool.main(arguments) == 1
    assert "builtins.print" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["source.pt"]


def test_errors_name_the_file(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "tiny.pt")
    with pytest.raises(ValueError, match="tiny.pt: the weights do not fit"):
        convert_file(tmp_path / "tiny.pt", "yolov8", "n")
