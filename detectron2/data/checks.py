"""Mistakes in COCO json files and their images, found before training."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .check_boxes import check_annotations
from .check_images import check_image_entries, check_image_files
from .findings import ERROR, Finding, Findings

__all__ = ["DatasetReport", "Finding", "check_coco_json", "compare_train_test"]

NEEDED_FIELDS = {"images": ("id", "file_name"), "annotations": (), "categories": ("id", "name")}


@dataclass(frozen=True)
class DatasetReport:
    """What was found in one file.

    Attributes:
        file: its path.
        images: number of images.
        annotations: number of annotations.
        images_without_annotations: number of images that no annotation refers to.
        histogram: annotations of each class by name, in the order of the categories.
        findings: the mistakes, errors first.
        categories: names by id.
        digests: of the images' content by file name, where they were read.
    """

    file: str
    images: int = 0
    annotations: int = 0
    images_without_annotations: int = 0
    histogram: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    categories: dict[Any, str] = field(default_factory=dict, repr=False)
    digests: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether there are no errors; warnings may be."""
        return all(finding.severity != ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For a json file; without digests."""
        values = asdict(self)
        del values["digests"]
        return {**values, "ok": self.ok}


def check_coco_json(json_file: str | Path, image_root: str | Path | None = None, fast: bool = False) -> DatasetReport:
    """Looks for everything that would stop or spoil a training: ids, boxes, files, sizes, duplicates.

    Args:
        json_file: annotations of instances in COCO's format.
        image_root: folder of the images; without it they are not looked at.
        fast: read only the headers of the images, which finds neither truncated nor duplicate ones.

    Returns:
        What was found. A file that is no COCO json at all is one error.

    Raises:
        FileNotFoundError: the json or the folder is not there.
    """
    found = Findings()
    if image_root is not None and not Path(image_root).is_dir():
        raise FileNotFoundError(f"the image folder {image_root} does not exist")
    try:
        content = json.loads(Path(json_file).read_bytes())
    except ValueError as error:
        found.error("no valid JSON", f"{json_file}: {error}")
        return DatasetReport(str(json_file), findings=found.summary())
    parts = {key: _entries(content, key, found) for key in NEEDED_FIELDS}
    images = {image["id"]: image for image in parts["images"]}
    categories = _check_categories(parts["categories"], found)
    check_image_entries(parts["images"], found)
    check_annotations(parts["annotations"], images, categories, found)
    digests = {}
    if image_root is not None:
        digests = check_image_files(parts["images"], Path(image_root), fast, found)
    counts = Counter(a.get("category_id") for a in parts["annotations"])
    for category_id, name in categories.items():
        if not counts[category_id]:
            found.warning("class without annotations", name)
    if not parts["annotations"]:
        found.error("no annotations", f"{json_file}: there is nothing to train on")
    return DatasetReport(
        file=str(json_file),
        images=len(parts["images"]),
        annotations=len(parts["annotations"]),
        images_without_annotations=len(images.keys() - {a.get("image_id") for a in parts["annotations"]}),
        histogram={name: counts[category_id] for category_id, name in categories.items()},
        findings=found.summary(),
        categories=categories,
        digests=digests,
    )


def _entries(content: Any, key: str, found: Findings) -> list[dict[str, Any]]:
    """The usable entries of a list of the json."""
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        found.error("missing list", f"the json has no list {key!r}")
        return []
    usable = []
    for number, entry in enumerate(entries):
        fields = NEEDED_FIELDS[key]
        missing = [f for f in fields if f not in entry] if isinstance(entry, dict) else list(fields) or ["object"]
        if missing:
            found.error("missing field", f"{key}[{number}] has no {', '.join(missing)}")
        elif not _hashable_ids(entry):
            found.error("id of a wrong kind", f"{key}[{number}]: ids are numbers or texts")
        else:
            usable.append(entry)
    return usable


def _hashable_ids(entry: dict[str, Any]) -> bool:
    return not any(isinstance(entry.get(k), (list, dict)) for k in ("id", "image_id", "category_id", "file_name"))


def _check_categories(entries: list[dict[str, Any]], found: Findings) -> dict[Any, str]:
    categories: dict[Any, str] = {}
    for entry in entries:
        if entry["id"] in categories:
            found.error("repeated category id", f"{entry['id']!r}: {categories[entry['id']]} and {entry['name']}")
        categories.setdefault(entry["id"], entry["name"])
    for name, count in Counter(categories.values()).items():
        if count > 1:
            found.error("repeated class name", f"{name}, {count} times")
    return categories


def compare_train_test(train: DatasetReport, test: DatasetReport) -> tuple[Finding, ...]:
    """Looks for classes that differ between two files, and for images that are in both.

    Args:
        train: report of the training data.
        test: report of the test data.
    """
    found = Findings()
    for category_id in dict.fromkeys((*train.categories, *test.categories)):
        names = [report.categories.get(category_id, "nothing") for report in (train, test)]
        if names[0] != names[1]:
            found.error("different classes", f"id {category_id!r} is {names[0]} in training, {names[1]} in the test")
    if list(train.categories.items()) != list(test.categories.items()) and train.categories == test.categories:
        found.warning("classes in another order", "the same ids and names, listed differently")
    for name, count in test.histogram.items():
        if count and not train.histogram.get(name, 1):
            found.warning("class tested but not trained", f"{name}: {count} annotations in the test")
    file_of = {digest: name for name, digest in train.digests.items()}
    for name, digest in test.digests.items():
        if digest in file_of:
            found.error("image in both", f"{file_of[digest]} in training, {name} in the test")
    return found.summary()
