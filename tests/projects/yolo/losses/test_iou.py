"""The overlap family against published numbers, pixel counts and the papers' formulas in plain Python."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.losses.iou import OVERLAPS, box_iou, complete_iou, generalized_iou
from torch import Tensor

from tests.projects.yolo.facts import golden

DEGENERATE = {
    "identical": ([3.0, 4.0, 9.0, 8.0], [3.0, 4.0, 9.0, 8.0]),
    "points": ([5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 5.0]),
    "zero width": ([5.0, 2.0, 5.0, 9.0], [1.0, 1.0, 8.0, 9.0]),
    "zero height": ([2.0, 5.0, 9.0, 5.0], [1.0, 1.0, 8.0, 9.0]),
    "touching": ([0.0, 0.0, 4.0, 4.0], [4.0, 0.0, 8.0, 4.0]),
    "inverted": ([9.0, 9.0, 2.0, 2.0], [1.0, 1.0, 8.0, 9.0]),
    "empty target": ([1.0, 1.0, 8.0, 9.0], [0.0, 0.0, 0.0, 0.0]),
    "far": ([0.0, 0.0, 1.0, 1.0], [8000.0, 8000.0, 8001.0, 8001.0]),
}


def random_boxes(count: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    corners = torch.from_numpy(np.random.RandomState(seed).uniform(0, 20, (count, 2, 2)))
    return torch.cat((corners.amin(1), corners.amax(1) + 1), dim=1).to(dtype)


@pytest.mark.parametrize("name", ["iou", "giou", "diou", "ciou"])
def test_published_values(name: str) -> None:
    arrays = golden("iou_family")
    ours = OVERLAPS[name](torch.from_numpy(arrays["box1_xyxy"]), torch.from_numpy(arrays["box2_xyxy"]))
    np.testing.assert_allclose(ours.numpy(), arrays[f"{name}_from_xyxy"], atol=1e-5)


def test_published_gradient_of_complete_iou() -> None:
    arrays = golden("iou_family")
    boxes = torch.from_numpy(arrays["box1_xyxy"][:20]).double().requires_grad_()
    complete_iou(boxes, torch.from_numpy(arrays["box2_xyxy"][:20]).double()).sum().backward()
    np.testing.assert_allclose(boxes.grad, arrays["ciou_grad_box1_xyxy_float64_first20"], atol=1e-9)


def test_pixel_counts() -> None:
    generator = np.random.RandomState(1)
    for _ in range(30):
        first, second = (np.sort(generator.randint(0, 12, (2, 2)), axis=0) + [[0, 0], [1, 1]] for _ in range(2))
        masks = np.zeros((2, 14, 14), dtype=bool)
        for mask, (low, high) in zip(masks, (first, second), strict=True):
            mask[low[1] : high[1], low[0] : high[0]] = True
        intersection, union = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
        hull = np.prod(np.maximum(first[1], second[1]) - np.minimum(first[0], second[0]))
        boxes = [torch.tensor(each.reshape(-1), dtype=torch.float64) for each in (first, second)]
        assert box_iou(*boxes).item() == pytest.approx(intersection / union, abs=1e-6)
        assert generalized_iou(*boxes).item() == pytest.approx(intersection / union - (hull - union) / hull, abs=1e-6)


def aspect(first: list[float], second: list[float]) -> float:
    """v of Complete IoU."""
    angles = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (first, second)]
    return 4 / math.pi**2 * (angles[1] - angles[0]) ** 2


def scalar_terms(first: list[float], second: list[float]) -> dict[str, float]:
    """What the papers' formulas are made of."""
    hull = [max(first[2 + i], second[2 + i]) - min(first[i], second[i]) for i in (0, 1)]
    offset = [(second[i] + second[2 + i] - first[i] - first[2 + i]) / 2 for i in (0, 1)]
    sides = [(box[2] - box[0], box[3] - box[1]) for box in (first, second)]
    inner = [max(min(first[2 + i], second[2 + i]) - max(first[i], second[i]), 0) for i in (0, 1)]
    intersection = inner[0] * inner[1]
    iou = intersection / (sides[0][0] * sides[0][1] + sides[1][0] * sides[1][1] - intersection)
    centre = (offset[0] ** 2 + offset[1] ** 2) / (hull[0] ** 2 + hull[1] ** 2)
    edges = sum((sides[0][i] - sides[1][i]) ** 2 / hull[i] ** 2 for i in (0, 1))
    sine = abs(offset[1]) / math.hypot(*offset)
    angle = 1 - 2 * math.sin(math.asin(sine) - math.pi / 4) ** 2
    distance = sum(1 - math.exp(-(2 - angle) * (offset[i] / hull[i]) ** 2) for i in (0, 1))
    relative = [abs(sides[0][i] - sides[1][i]) / max(sides[0][i], sides[1][i]) for i in (0, 1)]
    shape = sum((1 - math.exp(-each)) ** 4 for each in relative)
    v = aspect(first, second)
    return {
        "iou": iou,
        "diou": iou - centre,
        "ciou": iou - centre - v * v / (1 - iou + v),
        "eiou": iou - centre - edges,
        "siou": iou - (distance + shape) / 2,
    }


@pytest.mark.parametrize("name", ["iou", "diou", "ciou", "eiou", "siou"])
def test_formulas_of_the_papers(name: str) -> None:
    first, second = random_boxes(40, 2), random_boxes(40, 3)
    expected = [scalar_terms(a, b)[name] for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    np.testing.assert_allclose(OVERLAPS[name](first, second), expected, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in OVERLAPS if name != "ciou"])
def test_gradient_by_differences(name: str) -> None:
    boxes = random_boxes(6, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda each: OVERLAPS[name](each, random_boxes(6, 5)), boxes, atol=1e-5)


def test_weight_of_the_aspect_ratio_is_a_constant_for_the_gradient() -> None:
    boxes, target = random_boxes(8, 6).requires_grad_(), random_boxes(8, 7)
    complete_iou(boxes, target).sum().backward()
    step = 1e-6
    for row in (0, 5):
        v = aspect(boxes[row].tolist(), target[row].tolist())
        fixed = v / (1 - scalar_terms(boxes[row].tolist(), target[row].tolist())["iou"] + v)
        for column in range(4):
            values = []
            for sign in (1, -1):
                moved = boxes[row].tolist()
                moved[column] += sign * step
                diou = scalar_terms(moved, target[row].tolist())["diou"]
                values.append(diou - fixed * aspect(moved, target[row].tolist()))
            assert boxes.grad[row, column].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-5)


@pytest.mark.parametrize("overlap", OVERLAPS.values(), ids=OVERLAPS.keys())
@pytest.mark.parametrize("pair", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_degenerate_boxes_stay_finite(overlap: Callable[[Tensor, Tensor], Tensor], pair: tuple) -> None:
    first, second = (torch.tensor(each, requires_grad=True) for each in pair)
    value = overlap(first, second)
    value.backward()
    assert value.isfinite() and value <= 1 + 1e-6
    assert first.grad.isfinite().all() and second.grad.isfinite().all()


@pytest.mark.parametrize("overlap", OVERLAPS.values(), ids=OVERLAPS.keys())
def test_half_precision_broadcasts_and_keeps_large_boxes(overlap: Callable[[Tensor, Tensor], Tensor]) -> None:
    boxes = torch.tensor([[0.0, 0.0, 1000.0, 800.0], [100.0, 40.0, 900.0, 640.0]], dtype=torch.float16)
    table = overlap(boxes.unsqueeze(1), boxes.unsqueeze(0))
    assert table.shape == (2, 2) and table.dtype == torch.float32
    torch.testing.assert_close(table.diagonal(), torch.ones(2), atol=1e-5, rtol=0)
    assert table[0, 1] < 0.7
