"""Read a COCO json file and check it field by field."""

import json
import logging
import math
from collections import Counter
from typing import Any

from detectron2.utils.file_io import PathManager

logger = logging.getLogger(__name__)

_CHECK_HINT = "`python tools/check_dataset.py FILE --images DIR` lists every problem of a data set"


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
        self.categories = sorted(self._entries(content, "categories", ("id", "name")), key=lambda c: c["id"])
        images = self._entries(content, "images", ("id", "file_name", "height", "width"))
        self.images = sorted(images, key=lambda image: image["id"])
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

    def _entries(self, content: dict[str, Any], key: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
        if not isinstance(content.get(key), list):
            raise ValueError(f"{self.path} has no list {key!r}; its keys are: {', '.join(content) or 'none'}")
        entries = content[key]
        for index, entry in enumerate(entries):
            missing = [f for f in fields if not isinstance(entry, dict) or f not in entry]
            if missing:
                raise ValueError(f"{self.path}: {key}[{index}] has no field {missing[0]!r}")
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
        for entry in self._entries(content, "annotations", ("id", "image_id", "category_id", "bbox")):
            if entry["image_id"] not in self.annotations:
                raise ValueError(
                    f"{self.path}: annotation {entry['id']!r} has image_id {entry['image_id']!r}, which is no image"
                )
            if entry["category_id"] not in category_ids:
                raise ValueError(
                    f"{self.path}: annotation {entry['id']!r} has category_id {entry['category_id']!r}; "
                    f"the categories are {sorted(category_ids)}"
                )
            self._check_box(entry)
            self.annotations[entry["image_id"]].append(entry)

    def _check_box(self, entry: dict[str, Any]) -> None:
        box = entry["bbox"]
        if not isinstance(box, list) or len(box) not in (4, 5):
            problem = "is not a list of x, y, width, height"
        elif not all(isinstance(v, (int, float)) and math.isfinite(v) for v in box):
            problem = "holds something that is no finite number"
        elif len(box) == 4 and (box[2] < 0 or box[3] < 0):
            problem = "has a negative width or height (COCO boxes are x, y, width, height)"
        else:
            return
        raise ValueError(f"{self.path}: annotation {entry['id']!r}: bbox {box} {problem}. {_CHECK_HINT}")
