"""Anchors against boxes whose best anchors are known."""

import numpy as np
import pytest
from detectron2.projects.yolo.training.auto_anchor import (
    anchor_fitness,
    auto_anchors,
    best_possible_recall,
    box_sizes,
    evolve_anchors,
    kmeans_anchors,
)

from detectron2.structures import BoxMode

CENTRES = np.array([[10.0, 14.0], [60.0, 30.0], [100.0, 220.0]])


@pytest.fixture
def sizes() -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.concatenate([centre * generator.uniform(0.9, 1.1, (40, 2)) for centre in CENTRES])


def test_recall_and_fitness_by_hand() -> None:
    boxes = np.array([[10.0, 10], [39, 10], [40, 10], [2, 3], [10, 80]])
    anchors = np.array([[10.0, 10], [5, 6]])
    # Worse side ratios with the better anchor: 1, 10/39, 10/40, 2/5, 10/80.
    assert best_possible_recall(boxes, anchors, 4.0) == 3 / 5
    assert anchor_fitness(boxes, anchors, 4.0) == pytest.approx((1 + 10 / 39 + 2 / 5) / 5)


@pytest.mark.parametrize("seed", range(3))
def test_kmeans_finds_the_centres(sizes: np.ndarray, seed: int) -> None:
    found = kmeans_anchors(sizes, 3, seed)
    np.testing.assert_allclose(found, [sizes[k : k + 40].mean(axis=0) for k in (0, 40, 80)])
    # At a fixed point each anchor is the mean of the boxes that overlap it most.
    common = np.minimum(sizes[:, None], found).prod(axis=2)
    overlap = common / (sizes.prod(axis=1)[:, None] + found.prod(axis=1) - common)
    for index, anchor in enumerate(found):
        np.testing.assert_allclose(anchor, sizes[overlap.argmax(axis=1) == index].mean(axis=0))
    assert (np.diff(found.prod(axis=1)) > 0).all()
    np.testing.assert_array_equal(found, kmeans_anchors(sizes, 3, seed))


def test_evolution_improves_and_repeats_itself(sizes: np.ndarray) -> None:
    start = CENTRES * 1.6
    found = evolve_anchors(sizes, start, generations=200, seed=1)
    assert anchor_fitness(sizes, found) > anchor_fitness(sizes, start) + 0.1
    np.testing.assert_array_equal(found, evolve_anchors(sizes, start, generations=200, seed=1))
    np.testing.assert_array_equal(evolve_anchors(sizes, start, generations=0), start)


def test_good_anchors_stay_and_bad_ones_go(sizes: np.ndarray) -> None:
    assert auto_anchors(sizes, CENTRES) is CENTRES
    bad = np.array([[400.0, 400], [500, 500], [600, 600]])
    found = auto_anchors(sizes, bad, generations=20)
    assert best_possible_recall(sizes, bad) < 0.98 < best_possible_recall(sizes, found)
    assert found.shape == (3, 2)
    levels = auto_anchors(sizes, bad.reshape(3, 1, 2), generations=20)
    np.testing.assert_array_equal(levels[:, 0], found)
    with pytest.raises(ValueError, match="3 anchors"):
        kmeans_anchors(np.ones((9, 2)), 3)


def test_sizes_in_pixels_of_the_input() -> None:
    def box(x: float, y: float, w: float, h: float, **more: int) -> dict:
        return {"bbox": [x, y, w, h], "bbox_mode": BoxMode.XYWH_ABS, **more}

    annotations = [box(0, 0, 20, 40), box(5, 5, 1, 1), box(0, 0, 60, 60, iscrowd=1), box(1, 1, 30, 1)]
    records = [
        {"height": 100, "width": 50, "annotations": annotations},
        {"height": 10, "width": 10, "annotations": []},
    ]
    np.testing.assert_allclose(box_sizes(records, (150, 150)), [[30, 60], [45, 1.5]])
    assert box_sizes(records[1:], (150, 150)).shape == (0, 2)
