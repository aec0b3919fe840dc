"""Raw and decoded predictions of networks with weights by formula, against those of the published implementations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.decode import decode
from detectron2.projects.yolo.families import FAMILIES
from detectron2.projects.yolo.fuse import fuse_implicit
from detectron2.projects.yolo.network import YOLONetwork, build_network
from torch import Tensor

from tests.projects.yolo.facts import errors, filled, golden, golden_entry, golden_image

RAW_TOLERANCE = 2e-5
BOX_TOLERANCE = 1e-2
SCORE_TOLERANCE = 1e-5

Arrays = dict[str, np.ndarray]


def merged(arrays: Arrays, prefix: str, levels: int) -> list[np.ndarray]:
    """Box and class logits, which some goldens hold separately."""
    return [np.concatenate([arrays[f"{prefix}box{i}"], arrays[f"{prefix}cls{i}"]], 1) for i in range(levels)]


def plain(arrays: Arrays, prefix: str, levels: int) -> list[np.ndarray]:
    return [arrays[f"{prefix}raw{i}"] for i in range(levels)]


def by_anchor(arrays: Arrays, prefix: str, levels: int) -> list[np.ndarray]:
    """Anchor-based goldens come as (batch, anchor, row, column, channel)."""
    return [raw.transpose(0, 1, 4, 2, 3).reshape(1, -1, *raw.shape[2:4]) for raw in plain(arrays, prefix, levels)]


def class_columns(decoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(batch, 4 + K, P) -> boxes and scores."""
    return decoded[:, :4].transpose(0, 2, 1), decoded[:, 4:].transpose(0, 2, 1)


def objectness_rows(decoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(batch, P, 5 + K) -> boxes and scores."""
    return decoded[..., :4], decoded[..., 4:5] * decoded[..., 5:]


@dataclass(frozen=True)
class Case:
    family: str
    size: str
    raw: Callable[[Arrays, str, int], list[np.ndarray]]
    boxes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = class_columns
    prefix: str = ""
    auxiliary: str | None = None
    decoded: str = "decoded"
    corners: bool = False
    before: Callable[[YOLONetwork], object] | None = None


CASES = {
    "yolov7-tiny-train": Case("yolov7", "tiny", by_anchor, objectness_rows),
    "yolov7-deploy": Case("yolov7", "base", by_anchor, objectness_rows, before=fuse_implicit),
    "yolov7-train": Case("yolov7", "base", by_anchor, objectness_rows),
    "gelan-t": Case("gelan", "t", plain),
    "yolov9-t": Case("yolov9", "t", plain, prefix="main_", auxiliary="aux_", decoded="main_decoded"),
    "yolo11n": Case("yolo11", "n", merged),
    "yolo12n": Case("yolo12", "n", merged),
    "yolo26n": Case(
        "yolo26", "n", merged, prefix="one2one_", auxiliary="one2many_", decoded="one2one_decoded_xyxy", corners=True
    ),
    "yolov10n": Case(
        "yolov10", "n", merged, prefix="one2one_", auxiliary="one2many_", decoded="one2one_decoded_xyxy", corners=True
    ),
    "yolov10n-original": Case(
        "yolov10", "n", plain, prefix="one2one_", auxiliary="one2many_", decoded="one2one_decoded_xywh"
    ),
    "yolov8n": Case("yolov8", "n", merged),
    "yolox-nano": Case("yolox", "nano", plain, objectness_rows),
    "yolov5n": Case("yolov5", "n", by_anchor, objectness_rows),
    "yolov3-tiny": Case("yolov3", "tiny", by_anchor, objectness_rows),
}


def golden_network(case: Case, entry: dict[str, Any]) -> YOLONetwork:
    network = build_network(case.family, case.size, 80).eval()
    if case.before is not None:
        case.before(network)
    state, own = {}, network.state_dict()
    for ours, theirs in network.source_names().items():
        integer = theirs.endswith("num_batches_tracked")
        shape = tuple(own[ours].shape)
        state[ours] = own[ours] if integer else torch.from_numpy(filled(theirs, shape, entry.get("conv_gain", 1.0)))
    network.load_state_dict(state)
    return network


def worst(ours: Tensor, theirs: np.ndarray) -> float:
    return float(np.abs(errors(ours.numpy(), theirs)).max())


def to_corners(boxes: np.ndarray) -> np.ndarray:
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([center - half, center + half], -1)


@pytest.mark.parametrize("name", CASES)
def test_predictions_equal_the_published_ones(name: str) -> None:
    case, arrays = CASES[name], golden(name)
    network = golden_network(case, golden_entry(name))
    with torch.no_grad():
        features = network.features(torch.from_numpy(golden_image()), auxiliary=True)
        raw, auxiliary = network.head.main(features), network.head.auxiliary(features)
        boxes, scores = decode(network.head, raw)

    expected = case.raw(arrays, case.prefix, len(network.strides))
    errors = [worst(*pair) for pair in zip(raw, expected, strict=True)]
    if case.auxiliary is not None:
        expected = case.raw(arrays, case.auxiliary, len(network.strides))
        errors += [worst(*pair) for pair in zip(auxiliary, expected, strict=True)]
    expected_boxes, expected_scores = case.boxes(arrays[case.decoded])
    box_error = worst(boxes, expected_boxes if case.corners else to_corners(expected_boxes))
    score_error = worst(scores, expected_scores)
    print(f"{name}: raw {max(errors):.1e}, boxes {box_error:.1e} px, scores {score_error:.1e}")
    assert max(errors) < RAW_TOLERANCE
    assert box_error < BOX_TOLERANCE
    assert score_error < SCORE_TOLERANCE


def test_every_family_has_a_golden() -> None:
    interpreted = {"darknet_yolov3"}  # by tests/projects/yolo/weights/test_darknet.py
    assert {case.family for case in CASES.values()} | interpreted == set(FAMILIES)
