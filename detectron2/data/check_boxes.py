"""Mistakes in the annotations of a COCO json."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .findings import Findings

# Boxes may reach so far beyond the image, in pixels: a matter of rounding or of where pixels begin.
TOLERANCE = 1.0
EVALUATION_FIELDS = ("area", "iscrowd")


def is_number(value: Any) -> bool:
    """Whether it is a finite number, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_annotations(
    annotations: list[dict], images: Mapping[Any, dict], categories: Mapping[Any, str], found: Findings
) -> None:
    """Checks ids, boxes and polygons.

    Args:
        annotations: those of the json.
        images: of the json by id.
        categories: names by id.
        found: what is found is added here.
    """
    repeated = [k for k, count in Counter(a["id"] for a in annotations if "id" in a).items() if count > 1]
    for annotation_id in repeated:
        found.error("repeated annotation id", f"annotation {annotation_id!r}")
    seen: set[tuple[Any, ...]] = set()
    for number, annotation in enumerate(annotations):
        where = f"annotation {annotation['id']!r}" if "id" in annotation else f"annotations[{number}]"
        image = images.get(annotation.get("image_id"))
        if image is None:
            found.error("annotation of no image", f"{where}: image_id {annotation.get('image_id')!r}")
        else:
            where += f" of {image.get('file_name')}"
        if annotation.get("category_id") not in categories:
            found.error("annotation of no category", f"{where}: category_id {annotation.get('category_id')!r}")
        if "id" not in annotation:
            found.error("annotation without id", where)
        missing = [name for name in EVALUATION_FIELDS if name not in annotation]
        if missing:
            found.warning("no field " + " or ".join(missing), f"{where}; evaluation needs it")
        check_polygons(annotation.get("segmentation"), where, found)
        if check_box(annotation.get("bbox"), image, where, found):
            key = (annotation.get("image_id"), annotation.get("category_id"), *annotation["bbox"])
            if key in seen:
                found.warning("duplicate box", f"{where}: bbox {annotation['bbox']}")
            seen.add(key)


def check_box(box: Any, image: dict | None, where: str, found: Findings) -> bool:
    """Checks a box x, y, width, height in pixels; tells whether it has four finite numbers."""
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        found.error("malformed box", f"{where}: bbox {box!r} is not four finite numbers")
        return False
    text = f"{where}: bbox {box}"
    x, y, width, height = box
    if width < 0 or height < 0:
        found.error("inverted box", f"{text}; COCO boxes are x, y, width, height")
    elif width == 0 or height == 0:
        found.warning("empty box", f"{text}; it is left out of the training")
    elif image is not None and is_number(image.get("width")) and is_number(image.get("height")):
        size = f"the image is {image['width']}x{image['height']}"
        if x >= image["width"] or y >= image["height"] or x + width <= 0 or y + height <= 0:
            found.error("box outside of the image", f"{text}; {size}")
        elif (
            min(x, y) < -TOLERANCE or x + width > image["width"] + TOLERANCE or y + height > image["height"] + TOLERANCE
        ):
            found.warning("box partly out of the image", f"{text}; {size}")
    return True


def check_polygons(segmentation: Any, where: str, found: Findings) -> None:
    """Checks that each polygon has at least three points of two finite numbers. Run-length codes are not checked."""
    if not isinstance(segmentation, list):
        return
    for polygon in segmentation:
        if not isinstance(polygon, list) or not all(map(is_number, polygon)):
            found.error("malformed polygon", f"{where}: {str(polygon)[:60]}")
        elif len(polygon) < 6 or len(polygon) % 2:
            found.warning("polygon of fewer than 3 points", f"{where}: {len(polygon)} numbers")
