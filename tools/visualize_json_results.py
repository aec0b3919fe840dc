#!/usr/bin/env python
"""Draw the predictions of a COCO results json, ground truth below.

Example: ``python tools/visualize_json_results.py --input coco_instances_results.json --dataset NAME --output DIR``
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.data.detection_utils import read_image
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils.generic_mask import GenericMask
from detectron2.utils.logger import setup_logger
from detectron2.utils.visualizer import Visualizer


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="COCO results json")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--dataset", help="name of a registered data set; by default coco_2017_val")
    parser.add_argument("--json-file", help="COCO annotations of a data set that is not registered")
    parser.add_argument("--image-root", default="", help="folder of the pictures of --json-file")
    parser.add_argument("--conf-threshold", type=float, default=0.5, help="least score drawn")
    return parser.parse_args(argv)


def read_results(path: Path) -> dict[Any, list[dict[str, Any]]]:
    """Predictions of a COCO results json by image id.

    Raises:
        FileNotFoundError: if the file is absent.
        ValueError: if it is no list of COCO results.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--input {path} does not exist")
    try:
        rows = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    needed = {"image_id", "category_id", "score"}
    if not isinstance(rows, list) or any(not isinstance(r, dict) or needed - r.keys() for r in rows):
        raise ValueError(f"{path} is no COCO results file: a list of objects with {', '.join(sorted(needed))}")
    by_image = defaultdict(list)
    for row in rows:
        by_image[row["image_id"]].append(row)
    return by_image


def check_ids(
    results: dict[Any, list[dict[str, Any]]], images: Collection[Any], categories: Collection[int], name: str
) -> None:
    """Compares a results file with data set ``name``.

    Raises:
        ValueError: if a prediction is of an image or a category that the data set does not have.
    """
    for image_id, rows in results.items():
        if image_id not in images:
            raise ValueError(f"a prediction is of image_id {image_id}, which data set {name} does not have")
        for row in rows:
            if row["category_id"] not in categories:
                raise ValueError(
                    f"a prediction is of category_id {row['category_id']}; data set {name} has {sorted(categories)}"
                )


def to_instances(
    rows: list[dict[str, Any]], image_size: tuple[int, int], contiguous_id: dict[int, int], threshold: float
) -> Instances:
    """Predictions of one image of ``image_size`` (H, W) as ``Instances``; scores below ``threshold`` are left out."""
    rows = [r for r in rows if r["score"] >= threshold]
    instances = Instances(image_size)
    corners = [BoxMode.convert(r["bbox"], BoxMode.XYWH_ABS, BoxMode.XYXY_ABS) for r in rows if "bbox" in r]
    if len(corners) == len(rows):
        instances.pred_boxes = Boxes(np.asarray(corners, dtype=np.float32).reshape(-1, 4))
    instances.scores = np.asarray([r["score"] for r in rows])
    instances.pred_classes = np.asarray([contiguous_id[r["category_id"]] for r in rows], dtype=np.int64)
    if rows and all("segmentation" in r for r in rows):
        import torch

        masks = [GenericMask(r["segmentation"], *image_size).mask for r in rows]
        instances.pred_masks = torch.from_numpy(np.stack(masks)).bool()
    return instances


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    logger = setup_logger()
    results = read_results(args.input)
    name = args.dataset or (str(args.json_file) if args.json_file else "coco_2017_val")
    if args.json_file:
        register_coco_instances(name, {}, args.json_file, args.image_root)
    records = DatasetCatalog.get(name)
    metadata = MetadataCatalog.get(name)
    contiguous_id = metadata.get("thing_dataset_id_to_contiguous_id", None) or {
        i: i for i in range(len(metadata.thing_classes))
    }
    check_ids(results, {record["image_id"] for record in records}, contiguous_id.keys(), name)
    args.output.mkdir(parents=True, exist_ok=True)
    for record in records:
        image = read_image(record["file_name"], "RGB")
        predictions = to_instances(
            results.get(record["image_id"], []), image.shape[:2], contiguous_id, args.conf_threshold
        )
        drawn = Visualizer(image, metadata).draw_instance_predictions(predictions).get_image()
        truth = Visualizer(image, metadata).draw_dataset_dict(record).get_image()
        target = args.output / f"{Path(record['file_name']).stem}.png"
        save_png(np.concatenate([drawn, truth]), target)
        logger.info(f"{record['file_name']}: {len(predictions)} predictions -> {target}")


def save_png(image: np.ndarray, target: Path) -> None:
    from PIL import Image

    Image.fromarray(image).save(target)


if __name__ == "__main__":
    main()
