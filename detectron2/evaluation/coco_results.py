"""Predictions in COCO's result format, and COCO's figures as a dict of metrics."""

import itertools
import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detectron2.structures.boxes import BoxMode
from detectron2.utils.logger import create_small_table

# in the order of ``COCOeval.stats``
METRICS: dict[str, tuple[str, ...]] = {
    "bbox": ("AP", "AP50", "AP75", "APs", "APm", "APl"),
    "segm": ("AP", "AP50", "AP75", "APs", "APm", "APl"),
    "keypoints": ("AP", "AP50", "AP75", "APm", "APl"),
}


def instances_to_coco_json(instances: Any, img_id: int) -> list[dict[str, Any]]:
    """One image's predictions in COCO's result format.

    Args:
        instances: Instances on the CPU with ``pred_boxes``, ``scores``, ``pred_classes``, and where there are masks
            ``pred_masks`` (bool Tensor[N, H, W]) or ``pred_masks_rle`` (list of RLE dicts), where there are keypoints
            ``pred_keypoints`` (Tensor[N, K, 3]).
        img_id: the image's id.

    Returns:
        One dict for each instance: image_id, category_id (contiguous), bbox (x, y, width, height), score, and
        segmentation (compressed RLE) and keypoints where there are any.
    """
    if len(instances) == 0:
        return []
    boxes = BoxMode.convert(instances.pred_boxes.tensor, BoxMode.XYXY_ABS, BoxMode.XYWH_ABS).tolist()
    records: list[dict[str, Any]] = [
        {"image_id": img_id, "category_id": category, "bbox": box, "score": score}
        for category, box, score in zip(instances.pred_classes.tolist(), boxes, instances.scores.tolist(), strict=True)
    ]
    if instances.has("pred_masks_rle"):
        _put(records, "segmentation", instances.pred_masks_rle)
    elif instances.has("pred_masks"):
        _put(records, "segmentation", _encode_masks(instances.pred_masks))
    if instances.has("pred_keypoints"):
        # COCO counts the left upper pixel's centre as (0, 0), the models as (0.5, 0.5)
        keypoints = instances.pred_keypoints - instances.pred_keypoints.new_tensor([0.5, 0.5, 0.0])
        _put(records, "keypoints", keypoints.flatten(1).tolist())
    return records


def _put(records: list[dict[str, Any]], name: str, values: Sequence[Any]) -> None:
    for record, value in zip(records, values, strict=True):
        record[name] = value


def _encode_masks(masks: torch.Tensor) -> list[dict[str, Any]]:
    """bool Tensor[N, H, W] as RLE dicts whose counts are text, so that they can be written as JSON."""
    from pycocotools import mask as mask_util

    encoded = mask_util.encode(np.asfortranarray(masks.to(torch.uint8).permute(1, 2, 0).numpy()))
    return [{"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")} for rle in encoded]


def summarize_coco_eval(
    coco_eval: Any | None, iou_type: str, class_names: Sequence[str] | None, logger: logging.Logger
) -> dict[str, float]:
    """Metrics in percent from a finished evaluation; logs them as tables.

    Args:
        coco_eval: a ``COCOeval`` after ``summarize``; None when there was no prediction.
        iou_type: ``bbox``, ``segm`` or ``keypoints``.
        class_names: in the order of the evaluated classes, for AP of each class; none for fewer than two names.
        logger: where the tables go.

    Returns:
        Metric to percent; NaN where COCO has no figure.

    Raises:
        ValueError: the number of names differs from the number of evaluated classes.
    """
    names = METRICS[iou_type]
    if coco_eval is None:
        logger.warning("The model made no prediction at all: every %s metric is nan.", iou_type)
        return {name: math.nan for name in names}
    # COCO's figure for "no such objects in the ground truth" is -1
    results = {n: float(s * 100) if s >= 0 else math.nan for n, s in zip(names, coco_eval.stats, strict=False)}
    logger.info("Evaluation results for %s: \n%s", iou_type, create_small_table(results))
    missing = [name for name, value in results.items() if not math.isfinite(value)]
    if missing:
        logger.info("%s cannot be computed: the ground truth has no such objects.", ", ".join(missing))
    if class_names is None or len(class_names) <= 1:
        return results

    per_class = _ap_of_classes(coco_eval.eval["precision"], class_names)
    logger.info("Per-category %s AP: \n%s", iou_type, _class_table(per_class))
    results.update({f"AP-{name}": ap for name, ap in per_class})
    return results


def _ap_of_classes(precision: np.ndarray, class_names: Sequence[str]) -> list[tuple[str, float]]:
    """AP in percent of each class over all IoU thresholds, all areas and the largest number of detections."""
    if len(class_names) != precision.shape[2]:
        raise ValueError(
            f"metadata.thing_classes has {len(class_names)} names, but the ground truth has {precision.shape[2]} "
            "categories: make them agree"
        )
    table = []
    for index, name in enumerate(class_names):
        valid = precision[:, :, index, 0, -1]
        valid = valid[valid > -1]
        table.append((str(name), float(valid.mean() * 100) if valid.size else math.nan))
    return table


def _class_table(per_class: list[tuple[str, float]]) -> str:
    """Name and AP side by side, up to three classes a row."""
    from tabulate import tabulate

    pairs = min(3, len(per_class))
    cells = list(itertools.chain.from_iterable(per_class))
    rows = [cells[start : start + 2 * pairs] for start in range(0, len(cells), 2 * pairs)]
    return tabulate(rows, headers=["category", "AP"] * pairs, tablefmt="pipe", floatfmt=".3f", numalign="left")
