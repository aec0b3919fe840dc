#!/usr/bin/env python
"""Generate pictures of shapes with boxes, polygons, keypoints and panoptic labels.

Usage: ``python datasets/shapes.py --out datasets/shapes --train 400 --val 100 --size 160 120 --seed 0``

Writes ``DIR/{train,val}/*.png``, ``DIR/panoptic_{train,val}/*.png`` and
``DIR/annotations/{instances,panoptic}_{train,val}.json`` in COCO's formats. A picture depends on seed, split and its
number alone, so that any part of a set can be made anew, and a larger set contains the smaller one.
"""

import argparse
import json
import os
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "triangle", "star")
STUFF = "background"
KEYPOINTS = ("center", "top", "right", "bottom", "left")
MAX_SHAPES = 6
MAX_OVERLAP = 0.3


@dataclass(frozen=True)
class Shape:
    """One object: class index, outline (P, 2) of x, y in pixels, and its colour."""

    label: int
    outline: np.ndarray
    color: tuple[int, int, int]

    @property
    def box(self) -> np.ndarray:
        """x0, y0, x1, y1 in pixels."""
        return np.concatenate([self.outline.min(axis=0), self.outline.max(axis=0)])

    @property
    def area(self) -> float:
        x, y = self.outline.T
        return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)

    @property
    def keypoints(self) -> np.ndarray:
        """(5, 2): the middle and the outermost points of the outline, as in ``KEYPOINTS``."""
        x, y = self.outline.T
        extremes = [y.argmin(), x.argmax(), y.argmax(), x.argmin()]
        return np.concatenate([self.outline.mean(axis=0, keepdims=True), self.outline[extremes]])


def unit_outline(label: int) -> np.ndarray:
    """The outline (P, 2) of a class, inside the unit circle."""
    corners = (24, 4, 3, 10)[label]
    angles = np.arange(corners) * (2 * np.pi / corners) - np.pi / 2
    radius = np.where(np.arange(corners) % 2, 0.45, 1.0) if CLASSES[label] == "star" else np.ones(corners)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]


def draw_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A picture (H, W, 3) of smooth colour patches under fine noise, values 0..255."""
    coarse = rng.integers(40, 216, (4, 5, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth) + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def place_shapes(rng: np.random.Generator, width: int, height: int) -> list[Shape]:
    """One to ``MAX_SHAPES`` shapes inside the picture whose boxes overlap little."""
    shapes: list[Shape] = []
    wanted = int(rng.integers(1, MAX_SHAPES + 1))
    for _ in range(20 * wanted):
        if len(shapes) == wanted:
            break
        radius = rng.uniform(0.07, 0.25) * min(width, height)
        center = rng.uniform(radius + 1, np.array([width, height]) - radius - 1)
        turn = rng.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        label = int(rng.integers(len(CLASSES)))
        color = tuple(int(v) for v in rng.integers(0, 256, 3))
        shape = Shape(label, unit_outline(label) @ rotation * radius + center, color)
        if all(box_overlap(shape.box, other.box) < MAX_OVERLAP for other in shapes):
            shapes.append(shape)
    return shapes


def box_overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection of two boxes over the smaller of their areas."""
    sides = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None)
    return float(sides.prod() / min((first[2:] - first[:2]).prod(), (second[2:] - second[:2]).prod()))


def make_sample(
    index: int, split: str, width: int, height: int, seed: int
) -> tuple[np.ndarray, list[Shape], np.ndarray]:
    """Picture ``index`` of a split.

    Returns:
        The RGB picture uint8 (H, W, 3); its shapes, each drawn over the ones before; and the map (H, W) of segments,
        0 for the background and i + 1 for shape i.
    """
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
    picture = Image.fromarray(draw_background(rng, width, height))
    shapes = place_shapes(rng, width, height)
    segments = Image.new("I", (width, height), 0)
    for number, shape in enumerate(shapes, start=1):
        points = [tuple(p) for p in shape.outline.tolist()]
        ImageDraw.Draw(picture).polygon(points, fill=shape.color)
        ImageDraw.Draw(segments).polygon(points, fill=number)
    return np.asarray(picture), shapes, np.asarray(segments, dtype=np.int32)


def annotation(shape: Shape, annotation_id: int, image_id: int) -> dict:
    """A shape as a COCO annotation."""
    x0, y0, x1, y1 = shape.box.round(2).tolist()
    keypoints = np.column_stack([shape.keypoints.round(2), np.full(len(KEYPOINTS), 2)])
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": shape.label + 1,
        "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
        "area": round(shape.area, 2),
        "iscrowd": 0,
        "segmentation": [shape.outline.round(2).reshape(-1).tolist()],
        "keypoints": keypoints.reshape(-1).tolist(),
        "num_keypoints": len(KEYPOINTS),
    }


def segments_info(shapes: list[Shape], segments: np.ndarray) -> list[dict]:
    """COCO panoptic description of the segments that are visible; ids are those of the map plus one."""
    info = []
    for number in np.unique(segments).tolist():
        ys, xs = np.nonzero(segments == number)
        x0, y0 = int(xs.min()), int(ys.min())
        info.append(
            {
                "id": number + 1,
                "category_id": shapes[number - 1].label + 1 if number else len(CLASSES) + 1,
                "area": len(xs),
                "bbox": [x0, y0, int(xs.max()) - x0 + 1, int(ys.max()) - y0 + 1],
                "iscrowd": 0,
            }
        )
    return info


def write_split(root: Path, split: str, count: int, size: tuple[int, int] = (160, 120), seed: int = 0) -> None:
    """Writes one split.

    Args:
        root: folder of the data set.
        split: its name, part of what the pictures depend on.
        count: number of pictures.
        size: width and height in pixels.
        seed: of the whole data set.
    """
    width, height = size
    for folder in (root / split, root / f"panoptic_{split}", root / "annotations"):
        folder.mkdir(parents=True, exist_ok=True)
    images, annotations, panoptic = [], [], []
    for index in range(count):
        picture, shapes, segments = make_sample(index, split, width, height, seed)
        name, image_id = f"{index:06d}.png", index + 1
        Image.fromarray(picture).save(root / split / name)
        encoded = np.zeros((height, width, 3), dtype=np.uint8)
        encoded[..., 0] = segments + 1
        Image.fromarray(encoded).save(root / f"panoptic_{split}" / name)
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        annotations += [annotation(s, len(annotations) + k, image_id) for k, s in enumerate(shapes, start=1)]
        panoptic.append({"image_id": image_id, "file_name": name, "segments_info": segments_info(shapes, segments)})
    things = [
        {"id": i, "name": name, "supercategory": "shape", "keypoints": KEYPOINTS, "skeleton": []}
        for i, name in enumerate(CLASSES, start=1)
    ]
    write_json(
        root / "annotations" / f"instances_{split}.json",
        {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": things},
    )
    labels = [{"id": c["id"], "name": c["name"], "isthing": 1} for c in things]
    labels.append({"id": len(CLASSES) + 1, "name": STUFF, "isthing": 0})
    write_json(
        root / "annotations" / f"panoptic_{split}.json",
        {"info": {}, "images": images, "annotations": panoptic, "categories": labels},
    )


def write_json(path: Path, content: dict) -> None:
    """Writes a file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(content, file)
    os.replace(file.name, path)


def write_splits(
    root: Path | str, train: int = 400, val: int = 100, size: tuple[int, int] = (160, 120), seed: int = 0
) -> None:
    """Writes the splits "train" and "val"; see :func:`write_split`."""
    for split, count in (("train", train), ("val", val)):
        write_split(Path(root), split, count, size, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--train", type=int, default=400, help="pictures to train on")
    parser.add_argument("--val", type=int, default=100, help="pictures to evaluate on")
    parser.add_argument("--size", type=int, nargs=2, default=(160, 120), metavar=("W", "H"), help="in pixels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if min(args.size) < 32 or min(args.train, args.val) < 1:
        parser.error("pictures must be at least 32 pixels wide and high, and each split needs at least one")
    write_splits(args.out, args.train, args.val, tuple(args.size), args.seed)
    print(f"{args.train} + {args.val} pictures in {args.out}")


if __name__ == "__main__":
    main()
