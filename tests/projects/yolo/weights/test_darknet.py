"""Darknet's files against an interpreter of Darknet's descriptions, and files that do not fit."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.decode import decode
from detectron2.projects.yolo.families.anchors import TINY
from detectron2.projects.yolo.network import YOLONetwork, build_network
from detectron2.projects.yolo.weights import convert_file
from detectron2.projects.yolo.weights.convert import network_on_meta
from torch import Tensor

from tests.projects.yolo.weights import darknet_files as darknet

CLASSES = 2
OUTPUTS = 3 * (5 + CLASSES)
# Sizes in bytes of the files that go with the paper.
PUBLISHED_BYTES = {"full": 248_007_048, "spp": 252_209_544, "tiny": 35_434_956}


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    arrays = darknet.draw(darknet.tiny(OUTPUTS))
    return darknet.write(tmp_path_factory.mktemp("darknet") / "tiny.weights", arrays), arrays


def loaded(file: Path, size: str) -> YOLONetwork:
    with torch.device("meta"):
        network = build_network("darknet_yolov3", size, CLASSES).eval()
    network.load_state_dict(convert_file(file, "darknet_yolov3", size, CLASSES), assign=True)
    return network


@pytest.mark.parametrize("size", PUBLISHED_BYTES)
def test_as_many_numbers_as_published_files(size: str) -> None:
    state = network_on_meta("darknet_yolov3", size, 80).state_dict()
    count = sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())
    assert 4 * count + 20 == PUBLISHED_BYTES[size]


@torch.no_grad()
def test_tiny_runs_as_described(tiny_file: tuple[Path, list[np.ndarray]]) -> None:
    image = torch.rand(1, 3, 64, 96, generator=torch.manual_seed(0))
    expected = darknet.run(darknet.tiny(OUTPUTS), tiny_file[1], image)
    network = loaded(tiny_file[0], "tiny")
    raw = network(image)
    for ours, theirs in zip(raw, expected[::-1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    boxes, scores = decode(network.head, raw)
    own_boxes, own_scores = decoded_cell(expected[0], level=1, anchor=2, row=1, column=2)
    place = 3 * 4 * 6 + 2 * 2 * 3 + 1 * 3 + 2
    torch.testing.assert_close(boxes[0, place], own_boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(scores[0, place], own_scores, rtol=1e-4, atol=1e-5)


def decoded_cell(level_output: Tensor, *, level: int, anchor: int, row: int, column: int) -> tuple[Tensor, Tensor]:
    """Equations of YOLOv3, section 2.1, with cells of 32 pixels."""
    tx, ty, tw, th, objectness, *classes = level_output.view(3, 5 + CLASSES, 2, 3)[anchor, :, row, column]
    width, height = TINY[level][anchor]
    x, y = (tx.sigmoid() + column) * 32, (ty.sigmoid() + row) * 32
    w, h = width * tw.exp(), height * th.exp()
    box = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return box, objectness.sigmoid() * torch.stack(classes).sigmoid()


@torch.no_grad()
def test_spatial_pyramid_runs_as_described(tmp_path: Path) -> None:
    layers = darknet.spp(OUTPUTS)
    arrays = darknet.draw(layers)
    image = torch.rand(1, 3, 32, 64, generator=torch.manual_seed(0))
    network = loaded(darknet.write(tmp_path / "spp.weights", arrays), "spp")
    for ours, theirs in zip(network(image), darknet.run(layers, arrays, image)[::-1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_old_header_has_a_short_count(tmp_path: Path, tiny_file: tuple[Path, list[np.ndarray]]) -> None:
    old = darknet.write(tmp_path / "old.weights", tiny_file[1], version=(0, 1))
    assert old.stat().st_size == tiny_file[0].stat().st_size - 4
    first, second = (convert_file(file, "darknet_yolov3", "tiny", CLASSES) for file in (old, tiny_file[0]))
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content[:-4],
            "has 8678553 numbers, but darknet_yolov3 of size tiny with 2 classes needs 8678554",
        ),
        (lambda content: content + content[-4:], "has 8678555 numbers"),
        (lambda content: content[:-3], "no header of 20 bytes and 32-bit numbers"),
        (lambda content: content[:10], "10 bytes are less than the header"),
        (lambda content: b"PK\x03\x04" + content[4:], "not a Darknet file"),
        (lambda content: content[:-4] + struct.pack("<f", float("nan")), "not finite"),
    ],
)
def test_broken_files(
    tmp_path: Path, tiny_file: tuple[Path, list[np.ndarray]], change: Callable[[bytes], bytes], message: str
) -> None:
    file = tmp_path / "broken.weights"
    file.write_bytes(change(tiny_file[0].read_bytes()))
    with pytest.raises(ValueError, match=f"broken.weights: .*{message}"):
        convert_file(file, "darknet_yolov3", "tiny", CLASSES)


def test_other_families_are_refused(tiny_file: tuple[Path, list[np.ndarray]]) -> None:
    with pytest.raises(ValueError, match="family darknet_yolov3"):
        convert_file(tiny_file[0], "yolov3", "tiny", CLASSES)


def test_files_of_the_other_yolov3_are_refused(tmp_path: Path) -> None:
    network = build_network("yolov3", "tiny", CLASSES)
    state = {theirs: network.state_dict()[ours] for ours, theirs in network.source_names().items()}
    torch.save({"model": state}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="do not fit darknet_yolov3"):
        convert_file(tmp_path / "other.pt", "darknet_yolov3", "tiny", CLASSES)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing.weights"):
        convert_file(tmp_path / "nothing.weights", "darknet_yolov3", "tiny")
