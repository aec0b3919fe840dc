"""Anchor matching and OTA on top of it against published results and geometry."""

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.assigners import AnchorMatcher, AnchorMatches, OTAAssigner
from detectron2.projects.yolo.losses import Targets
from torch import Tensor

from tests.projects.yolo.facts import golden
from tests.projects.yolo.losses.cases import ANCHORS, SHAPES, STRIDES, no_targets, some_targets, targets_of_rows


def places(matches: AnchorMatches) -> Tensor:
    return torch.stack((matches.image, matches.anchor, matches.row, matches.column), dim=1)


@pytest.mark.parametrize("file", ["yolov5_loss_build_targets", "yolov7_loss_build_targets"])
def test_published_pairs(file: str) -> None:
    arrays = golden(file)
    targets = targets_of_rows(arrays["targets"])
    _, labels, boxes = targets.flat()
    for level, matches in enumerate(AnchorMatcher(arrays["anchors_px"].tolist(), STRIDES)(targets, SHAPES)):
        np.testing.assert_array_equal(places(matches), arrays[f"bt_index_b_a_gj_gi{level}"])
        np.testing.assert_array_equal(labels[matches.target], arrays[f"bt_class{level}"])
        np.testing.assert_array_equal(matches.sizes, arrays[f"bt_anchor{level}"])
        corners = matches.boxes(boxes)
        centre, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        np.testing.assert_allclose(torch.cat((centre, size), dim=1), arrays[f"bt_box{level}"], atol=1e-5)


def test_published_ota() -> None:
    arrays = golden("yolov7_loss_ota")
    targets = targets_of_rows(arrays["targets"])
    predictions = [torch.from_numpy(arrays[f"pred{level}"]) for level in range(3)]
    pairs = AnchorMatcher(arrays["anchors_px"].tolist(), STRIDES)(targets, SHAPES)
    kept = OTAAssigner(scale_by_height=True)(predictions, pairs, targets)
    for level, matches in enumerate(kept):
        rows = [
            (*place, *arrays["targets"][target].tolist(), *size)
            for place, target, size in zip(
                places(matches).tolist(), matches.target.tolist(), matches.sizes.tolist(), strict=True
            )
        ]
        names = ("index_b_a_gj_gi", "matched_target", "matched_anchor")
        theirs = np.concatenate([arrays[f"{name}{level}"] for name in names], axis=1)
        assert sorted(rows) == [pytest.approx(row) for row in sorted(theirs.tolist())]


@pytest.mark.parametrize("reach", [0.5, 1.0])
def test_pairs_by_geometry(reach: float) -> None:
    case = some_targets()
    targets = Targets(case.labels, case.boxes * 1.01 + 0.3, case.mask)  # neither borders nor ratios met exactly
    images, _, boxes = (each.tolist() for each in targets.flat())
    for level, matches in enumerate(AnchorMatcher(ANCHORS, STRIDES, reach=reach)(targets, SHAPES)):
        stride, (height, width) = STRIDES[level], SHAPES[level]
        expected = []
        for target, (x0, y0, x1, y1) in enumerate(boxes):
            x, y = (x0 + x1) / 2 / stride, (y0 + y1) / 2 / stride
            cells = {(int(x), int(y))}
            for dx, dy in ((-1, 0), (0, -1), (1, 0), (0, 1)):
                column, row = int(x) + dx, int(y) + dy
                # Distance from the centre to the border shared with that neighbour.
                distance = {-1: x % 1, 1: 1 - x % 1, 0: None}[dx] if dx else {-1: y % 1, 1: 1 - y % 1}[dy]
                if distance < reach and 0 <= column < width and 0 <= row < height:
                    cells.add((column, row))
            for anchor, (w, h) in enumerate(ANCHORS[level]):
                ratios = ((x1 - x0) / w, (y1 - y0) / h)
                if max(max(r, 1 / r) for r in ratios) < 4:
                    expected += [(images[target], anchor, row, column, target) for column, row in cells]
        ours = torch.cat((places(matches), matches.target.unsqueeze(1)), dim=1).tolist()
        assert sorted(map(tuple, ours)) == sorted(expected)
        assert expected


def test_decode_reaches_the_object() -> None:
    targets = some_targets()
    matches = AnchorMatcher(ANCHORS, STRIDES)(targets, SHAPES)[0]
    wanted = matches.boxes(targets.flat()[2])
    centre, size = (wanted[:, :2] + wanted[:, 2:]) / 2, wanted[:, 2:] - wanted[:, :2]
    raw = torch.cat((((centre + 0.5) / 2).logit(), ((size / matches.sizes).sqrt() / 2).logit()), dim=1)
    torch.testing.assert_close(matches.decode(raw), wanted, atol=1e-4, rtol=1e-4)


def test_exponential_decode_reaches_the_object_from_its_own_cell() -> None:
    targets = some_targets()
    matches = AnchorMatcher(ANCHORS, STRIDES, reach=0.0, exponential=True)(targets, SHAPES)[0]
    wanted = matches.boxes(targets.flat()[2])
    centre, size = (wanted[:, :2] + wanted[:, 2:]) / 2, wanted[:, 2:] - wanted[:, :2]
    assert len(centre) > 0 and (centre >= 0).all() and (centre < 1).all()
    raw = torch.cat((centre.logit(), (size / matches.sizes).log()), dim=1)
    torch.testing.assert_close(matches.decode(raw), wanted, atol=1e-4, rtol=1e-4)


def test_ota_prefers_good_predictions_and_can_change_the_object() -> None:
    boxes = torch.tensor([[[9.0, 9.0, 41.0, 41.0], [10.0, 8.0, 46.0, 44.0]]])
    targets = Targets(torch.tensor([[0, 1]]), boxes, torch.ones(1, 2, dtype=torch.bool))
    matcher = AnchorMatcher((((32.0, 32.0),),), (8,))
    matches = matcher(targets, [(8, 8)])
    prediction = torch.full((1, 1, 8, 8, 7), -6.0)
    # Only this cell, which was paired with both, predicts; it predicts the second object, surely.
    prediction[0, 0, 3, 3] = torch.tensor([0.0, 0.0, 0.12, 0.12, 6.0, -6.0, 6.0])
    shared = [pair for pair in places(matches[0]).tolist() if pair == [0, 0, 3, 3]]
    assert len(shared) == 2
    kept = OTAAssigner()([prediction], matches, targets)[0]
    here = (kept.row == 3) & (kept.column == 3)
    assert here.any() and set(kept.target[here].tolist()) == {1}
    assert len(kept.target) < len(matches[0].target)


def test_no_objects() -> None:
    matches = AnchorMatcher(ANCHORS, STRIDES)(no_targets(), SHAPES)
    predictions = [torch.zeros(2, 3, *shape, 9) for shape in SHAPES]
    for each in (*matches, *OTAAssigner()(predictions, matches, no_targets(2))):
        assert len(each.image) == 0 and each.sizes.shape == (0, 2)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="3 levels of anchors for 2 strides"):
        AnchorMatcher(ANCHORS, (8, 16))
    with pytest.raises(ValueError, match="ratio"):
        AnchorMatcher(ANCHORS, STRIDES, ratio=1.0)
    with pytest.raises(ValueError, match="2 levels of predictions"):
        AnchorMatcher(ANCHORS, STRIDES)(no_targets(), SHAPES[:2])
    with pytest.raises(ValueError, match="topk"):
        OTAAssigner(topk=0)
