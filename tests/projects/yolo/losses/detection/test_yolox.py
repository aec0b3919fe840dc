"""The YOLOX loss against a re-derivation with loops."""

import math

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.assigners import Assignment, SimOTAAssigner
from detectron2.projects.yolo.losses.detection import YOLOXLoss

from tests.projects.yolo.assigners.cases import plain_iou
from tests.projects.yolo.losses.cases import SHAPES, STRIDES, random_levels, some_targets

CLASSES = 4


class Recorder(SimOTAAssigner):
    """SimOTA that keeps its answers."""

    answers: list[Assignment] = []

    def __call__(self, *inputs: torch.Tensor) -> Assignment:
        self.answers.append(super().__call__(*inputs))
        return self.answers[-1]


def entropy(logit: float, target: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


def test_terms_by_loops() -> None:
    levels, recorder = random_levels(5 + CLASSES, seed=4), Recorder()
    ours = YOLOXLoss(CLASSES, assigner=recorder, iou_gain=5, use_l1=True)(levels, some_targets())
    answer = recorder.answers[-1]
    expected = dict.fromkeys(ours, 0.0)
    anchor = 0
    for level, (height, width), stride in zip(levels, SHAPES, STRIDES, strict=True):
        for row, column in np.ndindex(height, width):
            for image in range(2):
                tx, ty, tw, th, objectness, *classes = level[image, :, row, column].tolist()
                positive = bool(answer.foreground[image, anchor])
                expected["loss_obj"] += entropy(objectness, float(positive))
                if not positive:
                    continue
                cx, cy, w, h = (tx + column) * stride, (ty + row) * stride, math.exp(tw) * stride, math.exp(th) * stride
                x0, y0, x1, y1 = answer.boxes[image, anchor].tolist()
                iou = plain_iou([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], [x0, y0, x1, y1])
                expected["loss_iou"] += 5 * (1 - iou**2)
                label = int(answer.labels[image, anchor])
                expected["loss_cls"] += sum(entropy(c, iou * (k == label)) for k, c in enumerate(classes))
                centre = ((x0 + x1) / 2 / stride - column, (y0 + y1) / 2 / stride - row)
                size = (math.log((x1 - x0) / stride), math.log((y1 - y0) / stride))
                expected["loss_l1"] += sum(abs(a - b) for a, b in zip((tx, ty, tw, th), centre + size, strict=True))
            anchor += 1
    count = int(answer.foreground.sum())
    assert count > 3
    found = {name: value.item() for name, value in ours.items()}
    assert found == pytest.approx({name: value / count for name, value in expected.items()}, rel=1e-4)


def test_absolute_error_is_optional() -> None:
    loss = YOLOXLoss(CLASSES)
    levels = random_levels(5 + CLASSES)
    assert "loss_l1" not in loss(levels, some_targets())
    loss.use_l1 = True
    assert loss(levels, some_targets())["loss_l1"] > 0
