"""Anchor sizes for a data set: how well given ones fit, and better ones."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from detectron2.data.detection_utils import get_bbox

from ..data.letterbox import fit_inside

__all__ = ["anchor_fitness", "auto_anchors", "best_possible_recall", "box_sizes", "evolve_anchors", "kmeans_anchors"]


def box_sizes(dataset_dicts: Iterable[Mapping[str, Any]], size: tuple[int, int], min_side: float = 2.0) -> np.ndarray:
    """Widths and heights of all objects in images resized to fit into the network's input.

    Args:
        dataset_dicts: in the standard form, with "width", "height" and "annotations". Crowds are left out.
        size: (height, width) of the input in pixels.
        min_side: boxes with both sides below it are left out, in pixels.

    Returns:
        float64 (N, 2) of width and height in pixels of the input.
    """
    found = []
    for record in dataset_dicts:
        height, width = fit_inside(record["height"], record["width"], size)
        scale = (width / record["width"], height / record["height"])
        for annotation in record["annotations"]:
            if not annotation.get("iscrowd", 0):
                x0, y0, x1, y1 = get_bbox(annotation)
                found.append(((x1 - x0) * scale[0], (y1 - y0) * scale[1]))
    sizes = np.array(found, dtype=np.float64).reshape(-1, 2)
    return sizes[(sizes >= min_side).any(axis=1) & (sizes > 0).all(axis=1)]


def _similarity(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """The worse of the two side ratios of each box and anchor, the smaller side over the larger: (N, K), in (0, 1]."""
    ratios = sizes[:, None] / anchors[None]
    return np.minimum(ratios, 1 / ratios).min(axis=2)


def best_possible_recall(sizes: np.ndarray, anchors: np.ndarray, threshold: float = 4.0) -> float:
    """Part of the boxes (N, 2) for which some anchor (K, 2) differs by less than a factor in both sides."""
    return float((_similarity(sizes, anchors).max(axis=1) > 1 / threshold).mean())


def anchor_fitness(sizes: np.ndarray, anchors: np.ndarray, threshold: float = 4.0) -> float:
    """Mean over the boxes of the similarity with the best anchor, counted as 0 where no anchor is near enough."""
    best = _similarity(sizes, anchors).max(axis=1)
    return float((best * (best > 1 / threshold)).mean())


def _iou(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Intersection over union (N, K) of boxes and anchors with a common corner."""
    common = np.minimum(sizes[:, None], anchors[None]).prod(axis=2)
    return common / (sizes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - common)


def kmeans_anchors(sizes: np.ndarray, count: int, seed: int = 0, rounds: int = 100) -> np.ndarray:
    """k-means with the distance 1 - IoU (arXiv:1612.08242, section 2, "Dimension Clusters").

    Args:
        sizes: (N, 2) of width and height.
        count: of anchors.
        seed: of the first centres.
        rounds: at most so many.

    Returns:
        float64 (count, 2), by rising area.

    Raises:
        ValueError: there are fewer different boxes than anchors.
    """
    different = np.unique(sizes, axis=0)
    if len(different) < count:
        raise ValueError(f"{count} anchors need as many different boxes, the data set has {len(different)}")
    centres = different[np.random.default_rng(seed).choice(len(different), count, replace=False)]
    owner = np.full(len(sizes), -1)
    for _ in range(rounds):
        nearest = _iou(sizes, centres).argmax(axis=1)
        if (nearest == owner).all():
            break
        owner = nearest
        for index in range(count):
            if (owner == index).any():
                centres[index] = sizes[owner == index].mean(axis=0)
    return centres[np.argsort(centres.prod(axis=1), kind="stable")]


def evolve_anchors(
    sizes: np.ndarray, anchors: np.ndarray, threshold: float = 4.0, generations: int = 1000, seed: int = 0
) -> np.ndarray:
    """Random changes of anchors, kept where :func:`anchor_fitness` rises.

    Args:
        sizes: (N, 2) of width and height.
        anchors: (K, 2) to begin with.
        threshold: see :func:`best_possible_recall`.
        generations: changes that are tried; each factor is drawn around 1.
        seed: of the changes.

    Returns:
        float64 (K, 2), by rising area, at least as fit as the given ones.
    """
    generator = np.random.default_rng(seed)
    best, fitness = np.array(anchors, dtype=np.float64), anchor_fitness(sizes, anchors, threshold)
    for _ in range(generations):
        changed = generator.random(best.shape) < 0.5
        factors = np.exp(generator.normal(0, 0.1, best.shape) * changed)
        candidate = best * factors
        candidate_fitness = anchor_fitness(sizes, candidate, threshold)
        if candidate_fitness > fitness:
            best, fitness = candidate, candidate_fitness
    return best[np.argsort(best.prod(axis=1), kind="stable")]


def auto_anchors(
    sizes: np.ndarray,
    anchors: np.ndarray,
    threshold: float = 4.0,
    least_recall: float = 0.98,
    generations: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """The given anchors where they fit the boxes (N, 2) well enough, else as many better ones.

    Args:
        sizes, threshold, generations, seed: as above; all sizes in pixels of the network's input.
        anchors: (K, 2), or (L, A, 2) for L levels from the finest on with A anchors each.
        least_recall: anchors with this recall or more stay.

    Returns:
        In the shape of ``anchors``; new ones by rising area, and only if their recall is above that of the given ones.
    """
    flat = anchors.reshape(-1, 2)
    before = best_possible_recall(sizes, flat, threshold)
    if before >= least_recall:
        return anchors
    found = evolve_anchors(sizes, kmeans_anchors(sizes, len(flat), seed), threshold, generations, seed)
    better = best_possible_recall(sizes, found, threshold) > before
    return found.reshape(anchors.shape) if better else anchors
