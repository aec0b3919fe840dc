"""Task-aligned assignment against published results and a re-derivation with loops."""

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.assigners import Assignment, TaskAlignedAssigner, one_to_one_assigner
from detectron2.projects.yolo.losses.iou import complete_iou
from torch import Tensor
from torch.nn import functional

from tests.projects.yolo.assigners.cases import dense_case
from tests.projects.yolo.facts import golden

GOLDENS = {
    ("tal_classic", "topk10"): TaskAlignedAssigner(),
    ("tal_classic", "topk1"): one_to_one_assigner(),
    ("tal_ultralytics", "topk10"): TaskAlignedAssigner(min_side=16),
    ("tal_ultralytics", "topk7_topk2_1"): one_to_one_assigner(7, min_side=16),
    ("tal_ultralytics", "topk13_a1"): TaskAlignedAssigner(topk=13, alpha=1.0, min_side=16),
}


def assign(assigner: TaskAlignedAssigner, case: dict[str, Tensor]) -> Assignment:
    return assigner(**{name: value for name, value in case.items() if name != "anchor_strides"})


@pytest.mark.parametrize("key, assigner", GOLDENS.items(), ids=["-".join(key) for key in GOLDENS])
def test_published_assignments(key: tuple[str, str], assigner: TaskAlignedAssigner) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in golden(key[0]).items()}
    ours = assigner(
        arrays["pd_scores"],
        arrays["pd_bboxes"],
        arrays["anc_points"],
        arrays["gt_labels"].squeeze(2).long(),
        arrays["gt_bboxes"],
        arrays["mask_gt"].squeeze(2).bool(),
    )
    theirs = {name: arrays[f"{key[1]}_target_{name}"] for name in ("labels", "bboxes", "scores", "gt_idx")}
    assert torch.equal(ours.foreground, arrays[f"{key[1]}_fg_mask"])
    assert torch.equal(ours.indices, theirs["gt_idx"])
    assert torch.equal(ours.labels, theirs["labels"])
    assert torch.equal(ours.boxes, theirs["bboxes"])
    dense = functional.one_hot(ours.labels, theirs["scores"].shape[2]) * ours.scores.unsqueeze(2)
    np.testing.assert_allclose(dense, theirs["scores"], atol=1e-5)


def by_loops(assigner: TaskAlignedAssigner, case: dict[str, Tensor], image: int) -> dict[int, tuple[int, float]]:
    """Anchor to (object, class score), following the paper object by object."""
    scores, boxes, points = case["scores"][image], case["boxes"][image], case["anchor_points"]
    objects = [int(row) for row in case["gt_mask"][image].nonzero()]
    overlap, metric, wanted = {}, {}, {}
    for row in objects:
        target = case["gt_boxes"][image, row]
        for anchor, (x, y) in enumerate(points.tolist()):
            if target[0] < x < target[2] and target[1] < y < target[3]:
                u = max(float(complete_iou(target, boxes[anchor])), 0.0)
                overlap[row, anchor] = u
                score = float(scores[anchor, case["gt_labels"][image, row]])
                metric[row, anchor] = score**assigner.alpha * u**assigner.beta
        best = sorted((key for key in metric if key[0] == row), key=lambda key: -metric[key])[: assigner.topk]
        for key in best:
            if metric[key] > 0:
                wanted.setdefault(key[1], []).append(row)
    owner = {}
    for anchor, rows in wanted.items():
        rivals = objects if len(rows) > 1 else rows
        owner[anchor] = max(rivals, key=lambda row: overlap.get((row, anchor), 0.0))
    for row in objects if assigner.final_topk else ():
        mine = sorted((a for a in owner if owner[a] == row), key=lambda a: -metric[row, a])
        for anchor in mine[assigner.final_topk :]:
            del owner[anchor]
    result = {}
    for anchor, row in owner.items():
        mine = [each for each in owner if owner[each] == row]
        largest = max(metric[row, each] for each in mine)
        u = max(overlap[row, each] for each in mine)
        result[anchor] = (row, metric[row, anchor] * u / (largest + 1e-9))
    return result


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "assigner", [TaskAlignedAssigner(topk=6, beta=2.0), TaskAlignedAssigner(8, 1.0, 4.0, final_topk=3)]
)
def test_against_loops(assigner: TaskAlignedAssigner, seed: int) -> None:
    case = dense_case(seed)
    ours = assign(assigner, case)
    for image in range(2):
        expected = by_loops(assigner, case, image)
        assert len(expected) > 5
        assert set(ours.foreground[image].nonzero().flatten().tolist()) == set(expected)
        for anchor, (row, score) in expected.items():
            label = int(case["gt_labels"][image, row])
            assert ours.indices[image, anchor] == row and ours.labels[image, anchor] == label
            assert torch.equal(ours.boxes[image, anchor], case["gt_boxes"][image, row])
            assert float(ours.scores[image, anchor]) == pytest.approx(score, rel=1e-4, abs=1e-6)
    assert ours.scores[~ours.foreground].count_nonzero() == 0


def test_largest_score_of_an_object_is_its_largest_overlap() -> None:
    case = dense_case(5)
    ours = assign(TaskAlignedAssigner(), case)
    served = {(image, int(ours.indices[image, anchor])) for image, anchor in ours.foreground.nonzero().tolist()}
    assert len(served) > 5
    for image, row in served:
        mine = ours.foreground[image] & (ours.indices[image] == row)
        overlap = complete_iou(case["gt_boxes"][image, row], case["boxes"][image, mine]).max()
        torch.testing.assert_close(ours.scores[image, mine].max(), overlap, rtol=1e-4, atol=1e-5)


def one_object(box: list[float]) -> dict[str, Tensor]:
    case = dense_case(0)
    target = torch.tensor([[box]]).repeat(2, 1, 1)
    return case | {
        "boxes": target.expand_as(case["boxes"]) + 0.05,
        "gt_labels": torch.zeros(2, 1, dtype=torch.int64),
        "gt_boxes": target,
        "gt_mask": torch.tensor([[True], [False]]),
    }


@pytest.mark.parametrize("min_side, expected", [(0.0, 0), (6.0, 1), (16.0, 6)])
def test_tiny_objects_need_enlarging(min_side: float, expected: int) -> None:
    # Near it lie four centres of stride 8 at 20 and 28, one of stride 16 at 24 and one of stride 32 at 16.
    case = one_object([23.0, 23.0, 23.9, 23.9])
    assert assign(TaskAlignedAssigner(min_side=min_side), case).foreground.sum() == expected


def test_contested_anchor_and_objects_that_do_not_hold_it() -> None:
    case = {
        "scores": torch.full((1, 2, 1), 0.5),
        "boxes": torch.tensor([[[0.0, 0.0, 20.0, 10.0], [90.0, 90.0, 99.0, 99.0]]]),
        "anchor_points": torch.tensor([[3.0, 5.0], [95.0, 95.0]]),
        "gt_labels": torch.zeros(1, 3, dtype=torch.int64),
        "gt_boxes": torch.tensor([[[0.0, 0.0, 14.0, 10.0], [0.0, 0.0, 12.0, 10.0], [4.0, 0.0, 20.0, 10.0]]]),
        "gt_mask": torch.ones(1, 3, dtype=torch.bool),
    }
    assert assign(TaskAlignedAssigner(), case).indices.tolist() == [[0, 0]]
    assert assign(TaskAlignedAssigner(settle_outside=True), case).indices.tolist() == [[2, 0]]


def test_one_to_one_leaves_one_anchor_an_object() -> None:
    case = dense_case(7)
    for candidates in (1, 7):
        ours = assign(one_to_one_assigner(candidates), case)
        for image, mask in enumerate(case["gt_mask"]):
            counts = torch.bincount(ours.indices[image][ours.foreground[image]], minlength=5)
            assert counts.max() == 1 and counts[~mask].sum() == 0


def test_no_rows_of_objects() -> None:
    case = dense_case(0)
    empty = {name: case[name][:, :0] for name in ("gt_labels", "gt_boxes", "gt_mask")}
    ours = assign(TaskAlignedAssigner(), case | empty)
    assert not ours.foreground.any() and ours.scores.shape == ours.foreground.shape


@pytest.mark.parametrize("settings", [{"topk": 0}, {"final_topk": 0}, {"alpha": -1.0}, {"min_side": -1.0}])
def test_bad_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        TaskAlignedAssigner(**settings)
