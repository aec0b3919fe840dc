"""Decoding against formulas written out cell by cell."""

import math

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.decode import (
    box_distances,
    cell_corners,
    decode_anchor_based,
    decode_anchor_free,
    decode_yolox,
)

from tests.projects.yolo.facts import golden

CLASSES = 2


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_cells_go_row_by_row() -> None:
    cells = cell_corners(torch.zeros(1, 1, 2, 3))
    assert cells.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]


@pytest.mark.parametrize("reg_max", [1, 4])
def test_anchor_free(reg_max: int) -> None:
    torch.manual_seed(0)
    raw = [torch.randn(2, 4 * reg_max + CLASSES, 2, 3), torch.randn(2, 4 * reg_max + CLASSES, 1, 2)]
    boxes, scores = decode_anchor_free(raw, [8, 16], reg_max)
    expected_boxes, expected_scores = [], []
    for level, stride in zip(raw, [8, 16], strict=True):
        for y in range(level.shape[2]):
            for x in range(level.shape[3]):
                cell = level[1, :, y, x].tolist()
                sides = []
                for side in range(4):
                    logits = cell[side * reg_max : (side + 1) * reg_max]
                    weights = [math.exp(value) for value in logits]
                    mean = sum(index * weight for index, weight in enumerate(weights)) / sum(weights)
                    sides.append(logits[0] if reg_max == 1 else mean)
                left, top, right, bottom = sides
                corners = (x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom)
                expected_boxes.append([corner * stride for corner in corners])
                expected_scores.append([sigmoid(value) for value in cell[4 * reg_max :]])
    torch.testing.assert_close(boxes[1], torch.tensor(expected_boxes))
    torch.testing.assert_close(scores[1], torch.tensor(expected_scores))


def test_yolox() -> None:
    torch.manual_seed(0)
    raw = torch.randn(1, 5 + CLASSES, 2, 3)
    boxes, scores = decode_yolox([raw], [8])
    for index, (y, x) in enumerate((y, x) for y in range(2) for x in range(3)):
        tx, ty, tw, th, objectness, *classes = raw[0, :, y, x].tolist()
        center, half = ((x + tx) * 8, (y + ty) * 8), (math.exp(tw) * 4, math.exp(th) * 4)
        expected = [center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1]]
        torch.testing.assert_close(boxes[0, index], torch.tensor(expected))
        expected = [sigmoid(objectness) * sigmoid(value) for value in classes]
        torch.testing.assert_close(scores[0, index], torch.tensor(expected))


def test_anchor_based() -> None:
    torch.manual_seed(0)
    anchors = (((10.0, 14.0), (20.0, 6.0)),)
    raw = torch.randn(1, 2 * (5 + CLASSES), 2, 3)
    boxes, scores = decode_anchor_based([raw], [8], anchors)
    cells = [(anchor, y, x) for anchor in range(2) for y in range(2) for x in range(3)]
    for index, (anchor, y, x) in enumerate(cells):
        start = anchor * (5 + CLASSES)
        px, py, pw, ph, objectness, *classes = map(sigmoid, raw[0, start : start + 5 + CLASSES, y, x].tolist())
        center = ((2 * px - 0.5 + x) * 8, (2 * py - 0.5 + y) * 8)
        half = ((2 * pw) ** 2 * anchors[0][anchor][0] / 2, (2 * ph) ** 2 * anchors[0][anchor][1] / 2)
        expected = [center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1]]
        torch.testing.assert_close(boxes[0, index], torch.tensor(expected))
        torch.testing.assert_close(scores[0, index], torch.tensor([objectness * value for value in classes]))


def test_expected_distance_of_peaked_distributions() -> None:
    arrays = golden("dfl")
    ours = box_distances(torch.from_numpy(arrays["decode_in"]), 16)
    np.testing.assert_allclose(ours.numpy(), arrays["decode_out"], atol=1e-5)
