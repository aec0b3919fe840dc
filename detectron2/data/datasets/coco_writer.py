"""Write any registered data set as COCO json."""

import datetime
import json
import logging
import os
from typing import Any

import numpy as np

from detectron2.structures import BoxMode, PolygonMasks
from detectron2.utils.atomic import atomic_write
from detectron2.utils.file_io import PathManager

from ..catalog import DatasetCatalog, MetadataCatalog

logger = logging.getLogger(__name__)


def convert_to_coco_dict(dataset_name: str) -> dict[str, Any]:
    """A registered data set in COCO's json format.

    Boxes are written as x, y, width, height, keypoints moved back by half a pixel, classes by the ids of
    ``thing_dataset_id_to_contiguous_id`` where the metadata has it.

    Args:
        dataset_name: registered, with "height" and "width" in its dictionaries and ``thing_classes`` in its metadata.
    """
    records = DatasetCatalog.get(dataset_name)
    metadata = MetadataCatalog.get(dataset_name)
    to_contiguous = metadata.get("thing_dataset_id_to_contiguous_id", None)
    original_id = {v: k for k, v in to_contiguous.items()} if to_contiguous else {}
    categories = [{"id": original_id.get(i, i), "name": name} for i, name in enumerate(metadata.thing_classes)]
    images, annotations = [], []
    for index, record in enumerate(records):
        image = {
            "id": record.get("image_id", index),
            "width": int(record["width"]),
            "height": int(record["height"]),
            "file_name": str(record["file_name"]),
        }
        images.append(image)
        for entry in record.get("annotations", []):
            category = original_id.get(entry["category_id"], entry["category_id"])
            annotations.append(_coco_annotation(entry, len(annotations) + 1, image, category))
    info = {
        "date_created": str(datetime.datetime.now()),
        "description": f"Written from the registered data set {dataset_name}.",
    }
    return {"info": info, "images": images, "categories": categories, "annotations": annotations, "licenses": None}


def _coco_annotation(
    entry: dict[str, Any], annotation_id: int, image: dict[str, Any], category_id: int
) -> dict[str, Any]:
    box = np.asarray(entry["bbox"], dtype=float).tolist()
    if len(box) != 4:
        raise ValueError(
            f"image {image['file_name']}: the box {box} has {len(box)} numbers, COCO json holds upright boxes of 4"
        )
    x, y, width, height = BoxMode.convert(box, entry["bbox_mode"], BoxMode.XYWH_ABS)
    result = {
        "id": annotation_id,
        "image_id": image["id"],
        "bbox": [round(float(v), 3) for v in (x, y, width, height)],
        "area": width * height,
        "iscrowd": int(entry.get("iscrowd", 0)),
        "category_id": int(category_id),
    }
    if "keypoints" in entry:
        points = np.asarray(entry["keypoints"], dtype=float).reshape(-1, 3)
        result["num_keypoints"] = int((points[:, 2] > 0).sum())
        points[:, :2] -= 0.5
        result["keypoints"] = points.reshape(-1).tolist()
    if "segmentation" in entry:
        result["segmentation"], result["area"] = _coco_segmentation(entry["segmentation"], image["file_name"])
    result["area"] = float(result["area"])
    return result


def _coco_segmentation(segmentation: Any, file_name: str) -> tuple[Any, float]:
    """(segmentation that JSON can hold, area in square pixels)."""
    if isinstance(segmentation, list):
        polygons = [np.asarray(p, dtype=float).reshape(-1) for p in segmentation]
        return [p.tolist() for p in polygons], float(PolygonMasks([polygons]).area()[0])
    if isinstance(segmentation, dict):
        import pycocotools.mask as mask_util

        counts = segmentation["counts"]
        text = counts.decode("ascii") if isinstance(counts, bytes) else counts
        return {**segmentation, "counts": text}, float(mask_util.area(segmentation))
    raise TypeError(f"image {file_name}: unknown kind of segmentation {type(segmentation).__name__}")


def convert_to_coco_json(dataset_name: str, output_file: str, allow_cached: bool = True) -> None:
    """Writes a registered data set as COCO json.

    Args:
        dataset_name: see :func:`convert_to_coco_dict`.
        output_file: path; written whole or not at all, by one process at a time.
        allow_cached: keep a file that is there already.
    """
    from iopath.common.file_io import file_lock

    PathManager.mkdirs(os.path.dirname(output_file) or ".")
    with file_lock(output_file):
        if PathManager.exists(output_file) and allow_cached:
            logger.warning(
                f"Using the annotations in COCO format cached at {output_file}. Remove the file if the data set "
                "has changed since."
            )
            return
        logger.info(f"Converting annotations of data set {dataset_name!r} to COCO format ...")
        content = json.dumps(convert_to_coco_dict(dataset_name))
        with atomic_write(output_file, "COCO annotations") as file:
            file.write(content.encode())
