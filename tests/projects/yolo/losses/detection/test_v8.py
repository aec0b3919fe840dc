"""The anchor-free loss against a re-derivation with loops."""

import math

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.assigners import Assignment, TaskAlignedAssigner
from detectron2.projects.yolo.losses.detection import V8DetectionLoss
from detectron2.projects.yolo.losses.iou import complete_iou

from tests.projects.yolo.losses.cases import SHAPES, STRIDES, random_levels, some_targets

CLASSES = 4


class Recorder:
    """An assigner that keeps what it was asked and what it answered."""

    def __call__(self, *inputs: torch.Tensor) -> Assignment:
        self.inputs = inputs
        self.answer = TaskAlignedAssigner(min_side=16)(*inputs)
        return self.answer


def cells() -> list[tuple[int, int, int, float, float]]:
    """(level, row, column, x, y) of every anchor in order, in cells."""
    return [
        (level, row, column, column + 0.5, row + 0.5)
        for level, (height, width) in enumerate(SHAPES)
        for row in range(height)
        for column in range(width)
    ]


def softmax(values: np.ndarray) -> np.ndarray:
    return np.exp(values) / np.exp(values).sum()


def side_loss(outputs: np.ndarray, distance: float, index: int, stride: int) -> float:
    """Third term of one side, from its bins."""
    if len(outputs) == 1:
        return abs(outputs[0] - distance) * stride / (128, 96)[index % 2]
    y = min(max(distance, 0), len(outputs) - 1.01)
    left, p = int(y), softmax(outputs)
    return -((left + 1 - y) * math.log(p[left]) + (y - left) * math.log(p[left + 1]))


@pytest.mark.parametrize("reg_max", [1, 16])
def test_terms_by_loops(reg_max: int) -> None:
    levels = random_levels(4 * reg_max + CLASSES, seed=3)
    recorder, targets = Recorder(), some_targets()
    loss = V8DetectionLoss(
        CLASSES, STRIDES, reg_max, assigner=recorder, box_gain=1, cls_gain=1, dfl_gain=1, batch_scaled=False
    )
    ours = {name: value.item() for name, value in loss(levels, targets).items()}
    maps = [level.detach().double().numpy() for level in levels]
    expected = dict.fromkeys(ours, 0.0)
    answer = recorder.answer
    for image in range(2):
        for anchor, (level, row, column, x, y) in enumerate(cells()):
            output = maps[level][image, :, row, column]
            sides = output[: 4 * reg_max].reshape(4, reg_max)
            distances = [s[0] if reg_max == 1 else (softmax(s) * np.arange(reg_max)).sum() for s in sides]
            box = np.array([x - distances[0], y - distances[1], x + distances[2], y + distances[3]])
            scores = 1 / (1 + np.exp(-output[4 * reg_max :]))
            np.testing.assert_allclose(recorder.inputs[0][image, anchor], scores, atol=1e-6)
            np.testing.assert_allclose(recorder.inputs[1][image, anchor], box * STRIDES[level], atol=1e-3)
            wanted = np.zeros(CLASSES)
            wanted[answer.labels[image, anchor]] = answer.scores[image, anchor]
            expected["loss_cls"] -= (wanted * np.log(scores) + (1 - wanted) * np.log(1 - scores)).sum()
            if answer.foreground[image, anchor]:
                target = answer.boxes[image, anchor].double() / STRIDES[level]
                ciou = complete_iou(torch.from_numpy(box), target).item()
                expected["loss_box"] += (1 - ciou) * wanted.sum()
                x0, y0, x1, y1 = target.tolist()
                sides_loss = [
                    side_loss(sides[i], d, i, STRIDES[level]) for i, d in enumerate((x - x0, y - y0, x1 - x, y1 - y))
                ]
                expected["loss_dfl"] += sum(sides_loss) / 4 * wanted.sum()
    total = max(answer.scores.sum().item(), 1)
    assert answer.foreground.sum() > 5
    assert ours == pytest.approx({name: value / total for name, value in expected.items()}, rel=1e-4)


def test_gains_and_scale() -> None:
    levels, targets = random_levels(64 + CLASSES), some_targets()
    plain = V8DetectionLoss(CLASSES, box_gain=1, cls_gain=1, dfl_gain=1, batch_scaled=False)(levels, targets)
    scaled = V8DetectionLoss(CLASSES, box_gain=2, cls_gain=3, dfl_gain=5)(levels, targets)
    for name, gain in (("loss_box", 2), ("loss_cls", 3), ("loss_dfl", 5)):
        assert scaled[name].item() == pytest.approx(2 * gain * plain[name].item())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_order_of_memory_changes_nothing_and_is_kept(layout: torch.memory_format) -> None:
    loss, targets = V8DetectionLoss(CLASSES), some_targets()
    levels = random_levels(64 + CLASSES)
    expected = loss(levels, targets)
    other = [level.detach().contiguous(memory_format=layout).requires_grad_() for level in levels]
    ours = loss(other, targets)
    torch.testing.assert_close(ours, expected)
    gradients = torch.autograd.grad(sum(ours.values()), other)
    torch.testing.assert_close(gradients, torch.autograd.grad(sum(expected.values()), levels))
    unit = 1 if layout == torch.channels_last else 3
    assert all(gradient.stride(unit) == 1 for gradient in gradients)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="reg_max is 0"):
        V8DetectionLoss(CLASSES, reg_max=0)
    with pytest.raises(ValueError, match="ciou"):
        V8DetectionLoss(CLASSES, overlap="cio")
