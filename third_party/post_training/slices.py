"""Parts of a data set by what its COCO json file says of images and annotations."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from detectron2.data import MetadataCatalog

from .data import Record

# Identities, geometry and links, by which no part of a data set is made.
_NOT_COLUMNS = {
    *("id", "image_id", "file_name", "bbox", "segmentation", "keypoints", "area", "license", "date_captured"),
    *("flickr_url", "coco_url", "url", "iscrowd", "num_keypoints", "category_id"),
}
_MOST_VALUES = 12
_SIZES = (("small", 32.0**2), ("medium", 96.0**2), ("large", float("inf")))

Slices = dict[str, list[Any]]


def slices_of(dataset: str, images: Sequence[Any], columns: Sequence[str] | None = None) -> Slices:
    """Images by the values of columns.

    An image belongs to the values of its own entry, and to those of its annotations. Columns of many numbers are cut
    into thirds, other columns of more than 12 values are left out unless they are named.

    Args:
        dataset: with a COCO json file.
        images: ids of the images that are judged.
        columns: names; None for all that there are.

    Returns:
        "column=value" -> ids of images.

    Raises:
        KeyError: a named column is in no entry.
    """
    with open(MetadataCatalog.get(dataset).json_file, encoding="utf-8") as file:
        content = json.load(file)
    values = _values(content, set(images))
    if columns is not None and (unknown := [name for name in columns if name not in values]):
        raise KeyError(f"data set {dataset!r} has no column {', '.join(unknown)}; it has {', '.join(values) or 'none'}")
    found: Slices = {}
    for column, by_image in values.items():
        if columns is not None and column not in columns:
            continue
        name_of = _namer(by_image, forced=columns is not None)
        if name_of is None:
            continue
        for image, own in by_image.items():
            for name in sorted({name_of(value) for value in own}):
                found.setdefault(f"{column}={name}", []).append(image)
    return dict(sorted(found.items()))


def _values(content: Mapping[str, Any], images: set[Any]) -> dict[str, dict[Any, set[Hashable]]]:
    """Column -> image -> its values."""
    found: dict[str, dict[Any, set[Hashable]]] = {}
    for kind, key in (("images", "id"), ("annotations", "image_id")):
        for entry in content.get(kind, ()):
            if entry[key] not in images:
                continue
            for column, value in entry.items():
                if column not in _NOT_COLUMNS and isinstance(value, (str, int, float, bool)):
                    found.setdefault(column, {}).setdefault(entry[key], set()).add(value)
    return found


def _namer(by_image: Mapping[Any, set[Hashable]], forced: bool) -> Callable[[Any], str] | None:
    """What a value is called; None where a column makes no parts."""
    values = sorted({value for own in by_image.values() for value in own}, key=str)
    if len(values) < 2:
        return None
    if len(values) <= _MOST_VALUES or (forced and not all(_is_number(value) for value in values)):
        return str
    if not all(_is_number(value) for value in values):
        return None
    ordered = sorted(value for own in by_image.values() for value in own)  # type: ignore[type-var]
    low, high = ordered[len(ordered) // 3], ordered[2 * len(ordered) // 3]

    def third(value: Any) -> str:
        return f"below {low}" if value < low else f"from {high}" if value >= high else f"{low} to {high}"

    return third


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def class_counts(records: Sequence[Record], names: Sequence[str]) -> dict[str, int]:
    """Objects of each class."""
    counts = Counter(a["category_id"] for record in records for a in record.get("annotations", ()))
    return {name: counts[index] for index, name in enumerate(names)}


def size_counts(records: Sequence[Record]) -> dict[str, int]:
    """Objects that are small, medium and large as COCO has it: by the area of their boxes in pixels of the image."""
    counts = dict.fromkeys((name for name, _ in _SIZES), 0)
    for record in records:
        for annotation in record.get("annotations", ()):
            area = annotation["bbox"][2] * annotation["bbox"][3]
            counts[next(name for name, limit in _SIZES if area < limit)] += 1
    return counts
