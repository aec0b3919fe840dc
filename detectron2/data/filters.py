"""Leaving out images that are of no use for training, and what is left of each class."""

import itertools
import logging
from collections.abc import Sequence

import numpy as np

from detectron2.utils.logger import log_first_n

logger = logging.getLogger(__name__)

HISTOGRAM_COLUMNS = 3


def filter_images_with_only_crowd_annotations(dataset_dicts: list[dict]) -> list[dict]:
    """The images with at least one annotation that is no crowd.

    Args:
        dataset_dicts: each with "annotations".
    """
    kept = [d for d in dataset_dicts if any(a.get("iscrowd", 0) == 0 for a in d.get("annotations", ()))]
    logger.info(
        "%d of %d images have no usable annotation and are left out", len(dataset_dicts) - len(kept), len(dataset_dicts)
    )
    return kept


def _visible_keypoints(record: dict) -> int:
    keypoints = (a["keypoints"] for a in record["annotations"] if "keypoints" in a)
    return sum(int((np.asarray(k)[2::3] > 0).sum()) for k in keypoints)


def filter_images_with_few_keypoints(dataset_dicts: list[dict], min_keypoints_per_image: int) -> list[dict]:
    """The images with enough visible keypoints in all their annotations together.

    Args:
        dataset_dicts: each with "annotations".
        min_keypoints_per_image: how many are enough.
    """
    kept = [d for d in dataset_dicts if _visible_keypoints(d) >= min_keypoints_per_image]
    logger.info(
        "%d of %d images have fewer than %d keypoints and are left out",
        len(dataset_dicts) - len(kept),
        len(dataset_dicts),
        min_keypoints_per_image,
    )
    return kept


def count_instances(dataset_dicts: Sequence[dict], class_names: Sequence[str]) -> np.ndarray:
    """Annotations of each class, int64 [C], without crowds.

    Raises:
        ValueError: a category id is no index into ``class_names``; the message names the file.
    """
    counts = np.zeros(len(class_names), dtype=np.int64)
    for record in dataset_dicts:
        for annotation in record.get("annotations", ()):
            if annotation.get("iscrowd", 0):
                continue
            category = annotation["category_id"]
            if not 0 <= category < len(class_names):
                raise ValueError(
                    f"{record.get('file_name')}: category_id {category} is out of range, as there are "
                    f"{len(class_names)} classes: a data set's dictionaries count them from 0"
                )
            counts[category] += 1
    return counts


def print_instances_class_histogram(dataset_dicts: list[dict], class_names: list[str]) -> None:
    """Logs the number of annotations of each class, without crowds.

    Args:
        dataset_dicts: the data set.
        class_names: by category id, counted from 0.

    Raises:
        ValueError: a category id is out of range.
    """
    from tabulate import tabulate

    counts = count_instances(dataset_dicts, class_names)
    entries = [*zip(class_names, counts.tolist(), strict=True), ("all", int(counts.sum()))]
    height = -(-len(entries) // HISTOGRAM_COLUMNS)
    # Down the columns, as one reads a list.
    rows = [itertools.chain.from_iterable(entries[line::height]) for line in range(height)]
    headers = ["class", "annotations"] * -(-len(entries) // height)
    table = tabulate(rows, headers=headers, tablefmt="simple")
    log_first_n(logging.INFO, f"Annotations in {len(dataset_dicts)} images:\n{table}", key="message")
