"""Data sets in COCO's json format."""

import logging
import os
from typing import Any

from fvcore.common.timer import Timer  # noqa: F401
from iopath.common.file_io import file_lock  # noqa: F401

from detectron2.structures import Boxes, BoxMode, PolygonMasks  # noqa: F401
from detectron2.utils.file_io import PathManager

from ..catalog import DatasetCatalog, MetadataCatalog
from .coco_file import CocoFile
from .coco_preview import main
from .coco_shapes import convert_keypoints, convert_segmentation
from .coco_writer import convert_to_coco_dict, convert_to_coco_json

__all__ = [
    "convert_to_coco_dict",
    "convert_to_coco_json",
    "load_coco_json",
    "load_sem_seg",
    "register_coco_instances",
]

logger = logging.getLogger(__name__)

_ANNOTATION_KEYS = ("iscrowd", "bbox", "keypoints", "category_id")


def load_coco_json(
    json_file: str,
    image_root: str,
    dataset_name: str | None = None,
    extra_annotation_keys: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Reads COCO annotations of boxes, masks and keypoints.

    Annotations of no area are left out, with a count in the log: boxes without width or height, masks without a valid
    polygon. With ``dataset_name``, classes are numbered from 0 in the order of their ids, and the names and numbers
    become metadata.

    Args:
        json_file: path or URL.
        image_root: folder of the images.
        dataset_name: name whose metadata is filled in; without it "category_id" stays as in the file.
        extra_annotation_keys: further keys to copy from each annotation.

    Returns:
        One dictionary an image: "file_name", "height", "width", "image_id", "annotations".

    Raises:
        FileNotFoundError, ValueError: see :class:`CocoFile`.
    """
    content = CocoFile(json_file)
    contiguous_id = None
    if dataset_name is not None:
        contiguous_id = {c["id"]: i for i, c in enumerate(content.categories)}
        _set_classes(dataset_name, content, contiguous_id)
    keys = (*_ANNOTATION_KEYS, *(extra_annotation_keys or ()))
    records, dropped = [], {"boxes": 0, "masks": 0}
    for image in content.images:
        height, width = int(image["height"]), int(image["width"])
        converted = (
            _convert(a, (height, width), keys, contiguous_id, json_file, dropped)
            for a in content.annotations[image["id"]]
        )
        records.append(
            {
                "file_name": os.path.join(image_root, image["file_name"]),
                "height": height,
                "width": width,
                "image_id": image["id"],
                "annotations": [a for a in converted if a is not None],
            }
        )
    logger.info(f"Loaded {len(records)} images in COCO format from {json_file}")
    if any(dropped.values()):
        logger.warning(
            f"{json_file}: left out {dropped['boxes']} annotations whose box has no area and {dropped['masks']} "
            "without a valid polygon (3 points or more)"
        )
    return records


def _set_classes(dataset_name: str, content: CocoFile, contiguous_id: dict[int, int]) -> None:
    names = [c["name"] for c in content.categories]
    try:
        MetadataCatalog.get(dataset_name).set(thing_classes=names, thing_dataset_id_to_contiguous_id=contiguous_id)
    except AssertionError as error:
        raise ValueError(f"{content.path}: its categories are not those of the metadata: {error}") from error


def _convert(
    entry: dict[str, Any],
    image_size: tuple[int, int],
    keys: tuple[str, ...],
    contiguous_id: dict[int, int] | None,
    json_file: str,
    dropped: dict[str, int],
) -> dict[str, Any] | None:
    """One annotation in the standard form, or None where nothing of it is left."""
    result = {key: entry[key] for key in keys if key in entry}
    box = [float(v) for v in entry["bbox"]]
    if len(box) == 4 and (box[2] == 0 or box[3] == 0):
        dropped["boxes"] += 1
        return None
    result["bbox"] = box
    try:
        if entry.get("segmentation"):
            segmentation = convert_segmentation(entry["segmentation"], image_size)
            if segmentation is None:
                dropped["masks"] += 1
                return None
            result["segmentation"] = segmentation
        if entry.get("keypoints"):
            result["keypoints"] = convert_keypoints(entry["keypoints"])
    except ValueError as error:
        raise ValueError(f"{json_file}: annotation {entry['id']!r}: {error}") from None
    result["bbox_mode"] = BoxMode.XYWH_ABS if len(box) == 4 else BoxMode.XYWHA_ABS
    if contiguous_id is not None:
        result["category_id"] = contiguous_id[entry["category_id"]]
    return result


def load_sem_seg(gt_root: str, image_root: str, gt_ext: str = "png", image_ext: str = "jpg") -> list[dict[str, Any]]:
    """Pairs images with label maps of the same name.

    Args:
        gt_root, image_root: folders; label map and image have the same path below them but for the ending.
        gt_ext, image_ext: file endings.

    Returns:
        One dictionary an image: "file_name", "sem_seg_file_name".

    Raises:
        ValueError: there is no label map, or no image has one.
    """

    def names(root: str, ending: str) -> set[str]:
        return {f[: -len(ending) - 1] for f in PathManager.ls(root) if f.endswith(f".{ending}")}

    labels, images = names(gt_root, gt_ext), names(image_root, image_ext)
    if not labels:
        raise ValueError(f"no label map *.{gt_ext} in {gt_root}")
    both = sorted(labels & images)
    if not both:
        raise ValueError(f"no image *.{image_ext} in {image_root} has a label map *.{gt_ext} in {gt_root}")
    if labels != images:
        logger.warning(
            f"using {len(both)} pairs: {len(images - labels)} images in {image_root} have no label map in {gt_root}, "
            f"{len(labels - images)} label maps no image"
        )
    return [
        {
            "file_name": os.path.join(image_root, f"{name}.{image_ext}"),
            "sem_seg_file_name": os.path.join(gt_root, f"{name}.{gt_ext}"),
        }
        for name in both
    ]


def register_coco_instances(name: str, metadata: dict[str, Any], json_file: str, image_root: str) -> None:
    """Registers a data set in COCO's json format; the file is read when the data set is first used.

    Args:
        name: such as "coco_2014_train".
        metadata: further metadata, may be empty.
        json_file: annotations of instances.
        image_root: folder of the images.
    """
    for argument, value in (("name", name), ("json_file", json_file), ("image_root", image_root)):
        if not isinstance(value, (str, os.PathLike)):
            raise TypeError(f"register_coco_instances: {argument} must be a string, got {type(value).__name__}")
    json_file, image_root = os.fspath(json_file), os.fspath(image_root)
    DatasetCatalog.register(name, lambda: load_coco_json(json_file, image_root, name))
    MetadataCatalog.get(name).set(json_file=json_file, image_root=image_root, evaluator_type="coco", **dict(metadata))


if __name__ == "__main__":
    main()
