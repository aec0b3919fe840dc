"""Pictures of rectangles whose boxes can be read off their pixels."""

from pathlib import Path

import numpy as np
from detectron2.projects.yolo.data.sample import Sample
from PIL import Image

from detectron2.structures import BoxMode

BACKGROUND = 20
OBJECT = 255


def picture(boxes: list[tuple[int, int, int, int]], height: int, width: int) -> np.ndarray:
    """Rectangles on a dark ground: the first is bright in channel 0 alone, the second in channel 1, ..."""
    image = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    for channel, (x0, y0, x1, y1) in enumerate(boxes):
        image[y0:y1, x0:x1] = 0
        image[y0:y1, x0:x1, channel] = OBJECT
    return image


def sample_of(boxes: list[tuple[int, int, int, int]], height: int, width: int, outlines: bool = True) -> Sample:
    polygons = [[np.array([(a, b), (c, b), (c, d), (a, d)], dtype=float)] if outlines else [] for a, b, c, d in boxes]
    return Sample(
        picture(boxes, height, width),
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.arange(len(boxes)),
        polygons,
    )


def pixels_of(image: np.ndarray, channel: int) -> np.ndarray:
    """Where at least half of a pixel belongs to the object of a channel, bool (H, W)."""
    others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    return image[:, :, channel] - others >= OBJECT / 2


def box_of(image: np.ndarray, channel: int) -> np.ndarray:
    """The hull of the pixels of an object."""
    y, x = np.nonzero(pixels_of(image, channel))
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def write_dataset(folder: Path, count: int = 6, grey: bool = False, empty: bool = False) -> list[dict]:
    """PNG files of various sizes with one rectangle each, and their dictionaries."""
    records = []
    for index in range(count):
        height, width = 40 + 6 * index, 64 - 4 * index
        box = (8, 10, 30 + index, 34)
        image = picture([box], height, width)
        path = folder / f"{index}.png"
        Image.fromarray(np.ascontiguousarray(image[:, :, 0]) if grey else image).save(path)
        x0, y0, x1, y1 = box
        annotation = {
            "bbox": list(box),
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": index,
            "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        }
        records.append(
            {
                "file_name": str(path),
                "height": height,
                "width": width,
                "image_id": index,
                "annotations": [] if empty else [annotation],
            }
        )
    return records
