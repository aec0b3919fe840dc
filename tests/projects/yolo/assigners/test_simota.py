"""SimOTA and its matching against published results and re-derivations with loops."""

import math

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.assigners import SimOTAAssigner
from detectron2.projects.yolo.assigners.dynamic_k import class_cost, dynamic_k_matching, overlap_cost
from torch import Tensor

from tests.projects.yolo.assigners.cases import STRIDES, dense_case, plain_iou
from tests.projects.yolo.facts import golden


def test_class_cost_is_the_cross_entropy_of_each_pair() -> None:
    probabilities = torch.tensor([[0.2, 0.7, 0.5], [0.9, 0.1, 0.4]])
    labels = torch.tensor([1, 0, 1, 2])
    cost = class_cost(probabilities, labels)
    for row, label in enumerate(labels.tolist()):
        for column, p in enumerate(probabilities.tolist()):
            expected = -sum(math.log(q if k == label else 1 - q) for k, q in enumerate(p))
            assert cost[row, column].item() == pytest.approx(expected, rel=1e-5)


def test_costs_of_certain_predictions_are_finite() -> None:
    assert class_cost(torch.tensor([[0.0, 1.0]]), torch.tensor([0, 1])).tolist() == [[200.0], [0.0]]
    assert overlap_cost(torch.tensor([0.0, 1.0])).isfinite().all()


def matching_by_loops(cost: list[list[float]], ious: list[list[float]], topk: int) -> list[int]:
    takers: list[list[int]] = [[] for _ in cost[0]]
    for row, values in enumerate(cost):
        k = max(1, int(sum(sorted(ious[row], reverse=True)[:topk])))
        for candidate in sorted(range(len(values)), key=lambda c: values[c])[:k]:
            takers[candidate].append(row)
    everyone = range(len(cost))
    return [
        -1 if not rows else rows[0] if len(rows) == 1 else min(everyone, key=lambda row: cost[row][candidate])
        for candidate, rows in enumerate(takers)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_matching_against_loops(seed: int) -> None:
    random = np.random.RandomState(seed)
    cost, ious = random.uniform(0, 5, (4, 12)), random.uniform(0, 0.8, (4, 12))
    ours = dynamic_k_matching(torch.from_numpy(cost), torch.from_numpy(ious), 6)
    assert ours.tolist() == matching_by_loops(cost.tolist(), ious.tolist(), 6)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_matching_of_nothing(shape: tuple[int, int]) -> None:
    assert dynamic_k_matching(torch.zeros(shape), torch.zeros(shape), 10).tolist() == [-1] * shape[1]


def by_loops(case: dict[str, Tensor], image: int, radius: float) -> dict[int, tuple[int, float]]:
    """Anchor to (object, overlap)."""
    objects = [int(row) for row in case["gt_mask"][image].nonzero()]
    near = {}
    for anchor, (x, y) in enumerate(case["anchor_points"].tolist()):
        reach = radius * float(case["anchor_strides"][anchor])
        for row in objects:
            x0, y0, x1, y1 = case["gt_boxes"][image, row].tolist()
            near[row, anchor] = max(abs(x - (x0 + x1) / 2), abs(y - (y0 + y1) / 2)) < reach
    candidates = [a for a in range(len(case["anchor_points"])) if any(near[row, a] for row in objects)]
    cost, ious = [], []
    for row in objects:
        label = int(case["gt_labels"][image, row])
        target = case["gt_boxes"][image, row].tolist()
        ious.append([plain_iou(target, case["boxes"][image, a].tolist()) for a in candidates])
        entropy = [
            -sum(math.log(q if k == label else 1 - q) for k, q in enumerate(case["scores"][image, a].tolist()))
            for a in candidates
        ]
        outside = [0.0 if near[row, a] else 1e6 for a in candidates]
        cost.append([e - 3 * math.log(u + 1e-8) + o for e, u, o in zip(entropy, ious[-1], outside, strict=True)])
    found = matching_by_loops(cost, ious, 10)
    return {a: (objects[f], ious[f][i]) for i, (a, f) in enumerate(zip(candidates, found, strict=True)) if f >= 0}


@pytest.mark.parametrize("seed", range(3))
def test_against_loops(seed: int) -> None:
    case = dense_case(seed)
    ours = SimOTAAssigner(radius=1.5)(**case)
    for image in range(2):
        expected = by_loops(case, image, 1.5)
        assert set(ours.foreground[image].nonzero().flatten().tolist()) == set(expected)
        for anchor, (row, iou) in expected.items():
            label = int(case["gt_labels"][image, row])
            assert (ours.indices[image, anchor], ours.labels[image, anchor]) == (row, label)
            assert float(ours.scores[image, anchor]) == pytest.approx(iou, abs=1e-5)
            assert torch.equal(ours.boxes[image, anchor], case["gt_boxes"][image, row])
    assert ours.scores[~ours.foreground].count_nonzero() == 0


def test_published_assignment() -> None:
    arrays = {name: torch.from_numpy(value) for name, value in golden("yolox_simota_loss").items()}
    case = dense_case(0)
    raw = torch.cat([arrays[f"raw{level}"].flatten(2) for level in range(len(STRIDES))], dim=2).transpose(1, 2)
    strides = case["anchor_strides"]
    centre = (raw[..., :2] - 0.5) * strides + case["anchor_points"]
    half = raw[..., 2:4].exp() * strides / 2
    rows = arrays["labels"]
    ours = SimOTAAssigner()(
        (raw[..., 5:].sigmoid() * raw[..., 4:5].sigmoid()).sqrt(),
        torch.cat((centre - half, centre + half), dim=2),
        case["anchor_points"],
        rows[..., 0].long(),
        torch.cat((rows[..., 1:3] - rows[..., 3:] / 2, rows[..., 1:3] + rows[..., 3:] / 2), dim=2),
        rows[..., 3] > 0,
        strides,
    )
    for image in range(2):
        positive = arrays[f"img{image}_fg_mask"]
        assert torch.equal(ours.foreground[image], positive)
        assert torch.equal(ours.indices[image, positive], arrays[f"img{image}_matched_gt"])
        assert torch.equal(ours.labels[image, positive], arrays[f"img{image}_matched_class"].long())
        np.testing.assert_allclose(ours.scores[image, positive], arrays[f"img{image}_matched_iou"], atol=1e-5)


@pytest.mark.parametrize("name", ["radius", "topk", "overlap_weight", "outside_cost"])
def test_bad_settings_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        SimOTAAssigner(**{name: 0})
