"""Targets of a batch, and centres of cells."""

import pytest
import torch
from detectron2.projects.yolo.losses.anchor_points import anchor_points
from detectron2.projects.yolo.losses.targets import Targets

from detectron2.structures import Boxes, Instances


def instances(*rows: tuple[int, float]) -> Instances:
    result = Instances((32, 32))
    result.gt_boxes = Boxes(torch.tensor([[0.0, 1.0, x, 3.0] for _, x in rows]).reshape(-1, 4))
    result.gt_classes = torch.tensor([label for label, _ in rows], dtype=torch.int64)
    return result


def test_padding_and_back() -> None:
    targets = Targets.from_instances([instances((2, 5.0)), instances(), instances((1, 6.0), (0, 7.0))])
    assert targets.labels.tolist() == [[2, 0], [0, 0], [1, 0]]
    assert targets.mask.tolist() == [[True, False], [False, False], [True, True]]
    assert targets.boxes[1].count_nonzero() == 0
    image, labels, boxes = targets.flat()
    assert image.tolist() == [0, 2, 2]
    assert labels.tolist() == [2, 1, 0]
    assert boxes[:, 2].tolist() == [5.0, 6.0, 7.0]


def test_images_without_objects() -> None:
    targets = Targets.from_instances([instances(), instances()])
    assert targets.boxes.shape == (2, 0, 4)
    assert len(targets.flat()[0]) == 0


def test_bad_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        Targets.from_instances([])
    with pytest.raises(ValueError, match="labels"):
        Targets(torch.zeros(2, 3), torch.zeros(2, 2, 4), torch.zeros(2, 3))


def test_points_are_centres_by_level_row_and_column() -> None:
    points, strides = anchor_points([(2, 3), (1, 1)], (8, 16))
    assert points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8]]
    assert strides.flatten().tolist() == [8] * 6 + [16]
    with pytest.raises(ValueError, match="1 levels of predictions for 2 strides"):
        anchor_points([(2, 3)], (8, 16))
