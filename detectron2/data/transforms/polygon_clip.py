"""Cutting polygons at the border of a crop, without a geometry library.

A rectangle is where four half-planes meet. A simple polygon is cut by one half-plane as follows: its outline falls into
chains that lie inside, each from the point where it comes in to the point where it goes out. Sorted along the border,
these end points alternate between inside and outside of the polygon, so that neighbours in pairs bound the pieces.
Following chain, pair, chain, ... gives each piece as an outline of its own.
"""

import numpy as np
from fvcore.transforms.transform import CropTransform

__all__ = ["clip_polygon"]

_SMALLEST_AREA = 1e-8  # square pixels; what is below is a line that the border left over


def clip_polygon(polygon: np.ndarray, width: float, height: float) -> list[np.ndarray]:
    """The parts of a polygon inside the rectangle from (0, 0) to (width, height).

    Args:
        polygon: corners (P, 2) as x, y in pixels; the last one is joined to the first.
        width, height: of the rectangle in pixels.

    Returns:
        Outlines (Q, 2), float64: none where nothing is inside, several where the border cuts the polygon apart.
    """
    pieces = [np.asarray(polygon, dtype=np.float64).reshape(-1, 2)]
    for axis, size in ((0, width), (1, height)):
        for border, inward in ((0.0, 1.0), (float(size), -1.0)):
            pieces = [part for piece in pieces for part in _cut(piece, axis, border, inward)]
    return [piece for piece in pieces if len(piece) > 2 and _area(piece) > _SMALLEST_AREA]


@CropTransform.register_type("polygons")
def _crop_polygons(transform: CropTransform, polygons: list) -> list:
    """Handler of ``CropTransform.apply_polygons``; fvcore's own needs shapely."""
    origin = np.array([transform.x0, transform.y0], dtype=np.float64)
    return [piece for p in polygons for piece in clip_polygon(np.asarray(p) - origin, transform.w, transform.h)]


def _area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def _cut(polygon: np.ndarray, axis: int, border: float, inward: float) -> list[np.ndarray]:
    """The parts of a polygon on the inner side of a line across ``axis``; ``inward`` is +1 or -1."""
    depth = (polygon[:, axis] - border) * inward
    if depth.size == 0 or depth.min() >= 0:
        return [polygon]
    # Corners on the border count as outside, so that touching it from outside leaves nothing behind.
    inside = depth > 0
    if not inside.any():
        return []
    # Begin at a corner that follows one outside: then no chain runs over the end of the array.
    start = int(np.flatnonzero(inside & ~np.roll(inside, 1))[0])
    polygon, depth, inside = (np.roll(a, -start, axis=0) for a in (polygon, depth, inside))
    begins = np.flatnonzero(inside & ~np.roll(inside, 1))
    ends = np.flatnonzero(~inside & np.roll(inside, 1))
    if ends[0] == 0:  # the last chain reaches the end of the array
        ends = np.roll(ends, -1)
    entries = _crossings(polygon, depth, begins - 1, begins, axis, border)
    exits = _crossings(polygon, depth, ends, ends - 1, axis, border)
    stops = np.where(ends == 0, len(polygon), ends)
    chains = [np.vstack([a, polygon[i:j], b]) for a, i, j, b in zip(entries, begins, stops, exits, strict=True)]
    return _join(chains, entries[:, 1 - axis], exits[:, 1 - axis])


def _crossings(
    polygon: np.ndarray, depth: np.ndarray, outer: np.ndarray, inner: np.ndarray, axis: int, border: float
) -> np.ndarray:
    """Where the edges from corners ``outer`` to corners ``inner`` meet the border, (K, 2)."""
    share = depth[outer] / (depth[outer] - depth[inner])
    points = polygon[outer] + share[:, None] * (polygon[inner] - polygon[outer])
    points[:, axis] = border
    return points


def _join(chains: list[np.ndarray], entries: np.ndarray, exits: np.ndarray) -> list[np.ndarray]:
    """Closes chains along the border into outlines; ``entries`` and ``exits`` are their ends' places on it."""
    if len(chains) == 1:
        return chains
    count = len(chains)
    order = np.argsort(np.concatenate([entries, exits]), kind="stable").tolist()
    follower = {}
    while order:
        first = order.pop(0)
        # Two ends at the same place may stand in either order; a chain is always followed by the entry of one.
        partner = next(end for end in order if (end < count) != (first < count))
        order.remove(partner)
        entry, exit_ = sorted((first, partner))
        follower[exit_ - count] = entry
    outlines = []
    while follower:
        chain, after = follower.popitem()
        parts = [chains[chain]]
        while after != chain:
            parts.append(chains[after])
            after = follower.pop(after)
        outlines.append(np.concatenate(parts))
    return outlines
