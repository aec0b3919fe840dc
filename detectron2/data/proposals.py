"""Boxes proposed beforehand, read from a file into a data set."""

import logging

import numpy as np

from detectron2.structures.boxes import BoxMode
from detectron2.utils.file_io import PathManager

logger = logging.getLogger(__name__)

# Names of the fields in older files.
_OLD_NAMES = {"indexes": "ids", "scores": "objectness_logits"}


def load_proposals_into_dataset(dataset_dicts: list[dict], proposal_file: str) -> list[dict]:
    """Adds proposals to the images of a data set.

    Args:
        dataset_dicts: each with "image_id".
        proposal_file: a pickle of a dict with "ids" (image ids), "boxes" (for each a float array [R, 4]),
            "objectness_logits" (for each [R]) and perhaps "bbox_mode". Only numbers, text, lists and arrays are read.

    Returns:
        ``dataset_dicts``, each record with "proposal_boxes" [R, 4] and "proposal_objectness_logits" [R], the highest
        first, and "proposal_bbox_mode".

    Raises:
        KeyError: the file lacks a field, or an image of the data set.
        detectron2.checkpoint.safe_load.UnsafeFileError: the file holds other objects.
    """
    from detectron2.checkpoint.safe_load import load_pickle

    logger.info("Loading proposals from %s", proposal_file)
    proposals = load_pickle(PathManager.get_local_path(proposal_file))
    for old, new in _OLD_NAMES.items():
        if old in proposals:
            proposals[new] = proposals.pop(old)
    for field in ("ids", "boxes", "objectness_logits"):
        if field not in proposals:
            raise KeyError(f"{proposal_file} has no {field!r}; it has: {', '.join(map(str, proposals))}")
    rows = {str(image_id): row for row, image_id in enumerate(proposals["ids"])}
    mode = BoxMode(proposals["bbox_mode"]) if "bbox_mode" in proposals else BoxMode.XYXY_ABS
    for record in dataset_dicts:
        row = rows.get(str(record["image_id"]))
        if row is None:
            raise KeyError(f"{proposal_file} has no proposals for image {record['image_id']} of the data set")
        boxes = np.asarray(proposals["boxes"][row])
        logits = np.asarray(proposals["objectness_logits"][row])
        order = logits.argsort()[::-1]
        record["proposal_boxes"] = boxes[order]
        record["proposal_objectness_logits"] = logits[order]
        record["proposal_bbox_mode"] = mode
    return dataset_dicts
