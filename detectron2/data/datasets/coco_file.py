"""Read a COCO json file and check it field by field."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from detectron2.utils.file_io import PathManager

logger = logging.getLogger(__name__)

_CHECK_HINT = "`python tools/check_dataset.py FILE --images DIR` lists every problem of a data set"

_LARGEST_COORDINATE = 1e9  # pixels; NaN and infinity are not below it


def _is_id(value: Any) -> bool:
    return type(value) in (int, str)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_size(value: Any) -> bool:
    # Some writers give 40.0.
    return type(value) in (int, float) and value > 0 and float(value).is_integer()


# What a field may hold, and how errors call it.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "id": (_is_id, "an integer (or a string)"),
    "text": (_is_text, "a string that is not empty"),
    "size": (_is_size, "a positive integer, in pixels"),
    "any": (lambda value: True, ""),
}
_ANNOTATION_FIELDS = {"id": "id", "image_id": "id", "category_id": "id", "bbox": "any"}


class CocoFile:
    """The content of a COCO json file, checked.

    Attributes:
        path: of the file, for messages.
        categories: by ascending id.
        images: by ascending id.
        annotations: lists by image id.

    Raises:
        FileNotFoundError: no such file.
        ValueError: broken JSON, a missing field, a repeated or dangling id; the message names file, entry and field.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        content = self._read()
        self.categories = self._by_id(content, "categories", {"id": "id", "name": "text"})
        fields = {"id": "id", "file_name": "text", "height": "size", "width": "size"}
        self.images = self._by_id(content, "images", fields)
        self.annotations: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in self.images}
        self._group_annotations(content)

    def _read(self) -> dict[str, Any]:
        with PathManager.open(self.path, "r") as file:
            try:
                content = json.load(file)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{self.path} is not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(
                f"{self.path} holds a {type(content).__name__}; COCO annotations are an object with images, "
                "annotations and categories (a list is the form of results)"
            )
        return content

    def _by_id(self, content: dict[str, Any], key: str, fields: dict[str, str]) -> list[dict[str, Any]]:
        entries = self._entries(content, key, fields)
        if len({type(entry["id"]) for entry in entries}) > 1:
            raise ValueError(f"{self.path}: the ids of {key} are numbers and strings mixed: write all as numbers")
        return sorted(entries, key=lambda entry: entry["id"])

    def _entries(self, content: dict[str, Any], key: str, fields: dict[str, str]) -> list[dict[str, Any]]:
        """The list ``key``, each entry with ``fields``, a dict of name to kind (see ``_KINDS``)."""
        if key not in content:
            raise ValueError(f"{self.path} has no list {key!r}; its keys are: {', '.join(content) or 'none'}")
        entries = content[key]
        if not isinstance(entries, list):
            raise ValueError(f"{self.path}: {key!r} must be a list, but is a {type(entries).__name__}")
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise ValueError(f"{self.path}: {key}[{index}] must be an object, but is {entry!r}")
            for field, kind in fields.items():
                if field not in entry:
                    raise ValueError(f"{self.path}: {key}[{index}] has no field {field!r}")
                if not _KINDS[kind][0](entry[field]):
                    raise ValueError(
                        f"{self.path}: {key}[{index}]: {field!r} is {entry[field]!r}, but must be {_KINDS[kind][1]}"
                    )
        counts = Counter(entry["id"] for entry in entries)
        repeated = [i for i, count in counts.items() if count > 1]
        if repeated:
            raise ValueError(f"{self.path}: {key} repeat the id {repeated[0]!r} ({len(repeated)} ids are repeated)")
        return entries

    def _group_annotations(self, content: dict[str, Any]) -> None:
        if "annotations" not in content:
            logger.warning(f"{self.path} has no 'annotations': its images are taken as unlabelled")
            return
        category_ids = {c["id"] for c in self.categories}
        for entry in self._entries(content, "annotations", _ANNOTATION_FIELDS):
            if entry["image_id"] not in self.annotations:
                raise ValueError(
                    f"{self.path}: annotation {entry['id']!r} has image_id {entry['image_id']!r}, which is no image"
                )
            if entry["category_id"] not in category_ids:
                raise ValueError(
                    f"{self.path}: annotation {entry['id']!r} has category_id {entry['category_id']!r}; "
                    f"the categories are {sorted(category_ids)}"
                )
            if entry.get("iscrowd", 0) not in (0, 1):
                raise ValueError(
                    f"{self.path}: annotation {entry['id']!r}: iscrowd is {entry['iscrowd']!r}, but must be 0 or 1"
                )
            self._check_box(entry)
            self.annotations[entry["image_id"]].append(entry)

    def _check_box(self, entry: dict[str, Any]) -> None:
        box = entry["bbox"]
        if not isinstance(box, list) or len(box) not in (4, 5):
            problem = "is not a list of x, y, width, height"
        elif not all(type(v) in (int, float) and abs(v) <= _LARGEST_COORDINATE for v in box):
            problem = "holds something that is no finite number"
        elif len(box) == 4 and (box[2] < 0 or box[3] < 0):
            problem = "has a negative width or height (COCO boxes are x, y, width, height)"
        else:
            return
        raise ValueError(f"{self.path}: annotation {entry['id']!r}: bbox {box} {problem}. {_CHECK_HINT}")
