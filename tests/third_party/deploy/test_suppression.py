"""The operator of suppression, against suppression written out by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from third_party.deploy.suppression import SUPPRESSED, suppress


def sample(seed: int = 0, images: int = 2, classes: int = 3, boxes: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, boxes, 2, generator=generator) * 60
    size = torch.rand(images, boxes, 2, generator=generator) * 30 + 2
    return torch.cat([corner, corner + size], dim=2), torch.rand(images, classes, boxes, generator=generator)


def by_hand(boxes: np.ndarray, scores: np.ndarray, iou: float, threshold: float, most: int) -> np.ndarray:
    kept = np.full_like(scores, SUPPRESSED)
    for n, k in np.ndindex(scores.shape[:2]):
        chosen: list[int] = []
        for c in np.argsort(-scores[n, k], kind="stable"):
            if scores[n, k, c] <= threshold or len(chosen) == most:
                break
            if all(_iou(boxes[n, c], boxes[n, other]) <= iou for other in chosen):
                chosen.append(int(c))
        kept[n, k, chosen] = scores[n, k, chosen]
    return kept


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    common = sides.prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))


@pytest.mark.parametrize(("iou", "threshold", "most"), [(0.3, 0.2, 100), (0.6, 0.0, 4), (0.1, SUPPRESSED, 100)])
def test_it_keeps_what_greedy_suppression_keeps(iou, threshold, most):
    boxes, scores = sample()
    kept = suppress(boxes, scores, iou_threshold=iou, score_threshold=threshold, max_per_class=most)
    wanted = by_hand(boxes.numpy(), scores.numpy(), iou, threshold, most)
    np.testing.assert_array_equal(kept.numpy(), wanted)
    assert 0 < (wanted > SUPPRESSED).sum() < wanted.size


def test_nothing_above_the_threshold_keeps_nothing():
    boxes, scores = sample()
    kept = suppress(boxes, scores, iou_threshold=0.5, score_threshold=2.0, max_per_class=5)
    assert (kept == SUPPRESSED).all()


def test_the_operator_is_sound():
    boxes, scores = sample(boxes=6)
    torch.library.opcheck(torch.ops.third_party_deploy.suppress, (boxes, scores, 0.5, 0.1, 10))


@pytest.mark.parametrize(("boxes", "scores"), [((4, 4), (1, 2, 4)), ((1, 4, 5), (1, 2, 4)), ((1, 4, 4), (2, 4))])
def test_other_shapes_are_refused(boxes, scores):
    with pytest.raises(ValueError, match=r"wanted are \(N, C, 4\)"):
        suppress(torch.zeros(boxes), torch.zeros(scores), iou_threshold=0.5, score_threshold=0.0, max_per_class=1)


def test_other_types_are_refused():
    boxes, scores = sample()
    with pytest.raises(ValueError, match="torch.float16"):
        suppress(boxes.half(), scores, iou_threshold=0.5, score_threshold=0.0, max_per_class=1)
