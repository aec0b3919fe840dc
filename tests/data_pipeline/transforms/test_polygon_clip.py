"""Polygons at the border of a crop, against their pixels and by hand."""

import numpy as np
import pytest

from detectron2.data import transforms as T
from detectron2.data.transforms.polygon_clip import clip_polygon
from detectron2.structures.polygons import polygon_area

SQUARE = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=float)
# open to the right: two prongs, one above the other, and a spine at x = 0..2
FORK = np.array([[0, 0], [10, 0], [10, 2], [2, 2], [2, 6], [10, 6], [10, 8], [0, 8]], dtype=float)


def area(pieces):
    return sum(polygon_area(*p.T) for p in pieces)


def star(rng, corners):
    """A simple polygon: corners in order of their angle, at any distance."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(5, 60, corners)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None] + rng.uniform(0, 50, 2)


def covered(outlines, width, height, step=0.5):
    """Which points of a fine grid are inside an odd number of edges to their right, (H, W)."""
    x, y = np.meshgrid(np.arange(step / 3, width, step), np.arange(step / 3, height, step))
    inside = np.zeros(x.shape, dtype=bool)
    for outline in outlines:
        for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            if y0 != y1:
                inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


@pytest.mark.parametrize(
    "crop, areas",
    [
        ((0, 0, 10, 8), [48]),  # whole
        ((5, 0, 10, 8), [10, 10]),  # the spine is outside: two prongs
        ((3, 1, 4, 6), [4, 4]),  # cut on all sides
        ((-5, -5, 30, 30), [48]),  # inside a larger crop
        ((2, 2, 8, 4), []),  # the gap between the prongs, whose edges the polygon only touches
        ((20, 0, 5, 5), []),  # far away
    ],
)
def test_fork(crop, areas):
    pieces = T.CropTransform(*crop).apply_polygons([FORK])
    assert sorted(polygon_area(*p.T) for p in pieces) == pytest.approx(sorted(areas))
    for piece in pieces:
        assert (piece >= -1e-12).all() and (piece <= np.array(crop[2:]) + 1e-12).all()


def test_pieces_do_not_reach_along_the_border():
    """An arc around a corner leaves two pieces, neither of which has the corner."""
    outer = np.array([[-2, 5], [-2, -2], [5, -2], [5, 1], [4, 1], [4, -1], [-1, -1], [-1, 4], [1, 4], [1, 5]])
    pieces = clip_polygon(outer, 10, 10)
    assert len(pieces) == 2
    assert sorted(p.min(axis=0).tolist() for p in pieces) == [[0, 4], [4, 0]]


def test_inside_is_untouched_and_input_is_not_changed():
    before = SQUARE.copy()
    (piece,) = T.CropTransform(-1, -2, 20, 20).apply_polygons([SQUARE])
    np.testing.assert_array_equal(piece, before + [1, 2])
    np.testing.assert_array_equal(SQUARE, before)


@pytest.mark.parametrize("seed", range(40))
def test_random_outlines_cover_the_same_points(seed):
    rng = np.random.default_rng(seed)
    polygon = star(rng, rng.integers(3, 30)).round(rng.integers(0, 3))  # rounding puts corners on the border
    x0, y0 = rng.integers(-20, 40, 2)
    width, height = rng.integers(5, 40, 2)
    pieces = T.CropTransform(x0, y0, width, height).apply_polygons([polygon])
    expected = covered([polygon - [x0, y0]], width, height)
    # points that a rounding error puts on the other side of a slanted edge
    assert (covered(pieces, width, height) != expected).sum() <= 2


@pytest.mark.parametrize("polygon", [np.zeros((0, 2)), SQUARE[:2], np.array([[-1, 1], [1, 1], [3, 1.0]])])
def test_lines_and_nothing(polygon):
    assert clip_polygon(polygon, 2, 2) == []
