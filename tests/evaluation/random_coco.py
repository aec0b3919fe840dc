"""Small random data sets in COCO's format, full of what makes evaluation hard, and both ways to evaluate them."""

import contextlib
import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools import mask as mask_util
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZE = 60


def rle_of_box(box: list[float], rng: np.random.RandomState) -> dict[str, Any]:
    """A mask around the box, sometimes with a corner missing."""
    mask = np.zeros((SIZE, SIZE), np.uint8, order="F")
    x, y, w, h = (int(v) for v in box)
    mask[y : y + h + 1, x : x + w + 1] = 1
    if rng.rand() < 0.5:
        mask[y + h // 2 :, x + w // 2 :] = 0
    rle = mask_util.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def _random_box(rng: np.random.RandomState) -> list[float]:
    size = rng.uniform(2, SIZE * 0.8, 2)
    if rng.rand() < 0.5:  # on a grid, so that different pairs of boxes have the same IoU
        size = np.maximum(4, np.round(size / 4) * 4)
        corner = np.round(rng.uniform(0, SIZE - size) / 4) * 4
    else:
        corner = rng.uniform(0, SIZE - size)
    return [round(float(v), 2) for v in (*corner, *size)]


def _ground_truth(rng: np.random.RandomState, masks: bool) -> dict[str, Any]:
    categories = sorted(int(c) for c in rng.choice(90, 3, replace=False) + 1)
    images = sorted(int(i) for i in rng.choice(1000, 4, replace=False))
    annotations: list[dict[str, Any]] = []
    for image_id in images:
        count = 0 if rng.rand() < 0.15 else rng.randint(0, 7)
        for _ in range(count):
            box = _random_box(rng)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": int(rng.choice(categories)),
                "bbox": box,
                "iscrowd": int(rng.rand() < 0.25),
                "area": box[2] * box[3],
            }
            if masks:
                x, y, w, h = box
                polygon = [[x, y, x + w, y, x + w, y + h, x, y + h]]
                annotation["segmentation"] = (
                    rle_of_box(box, rng) if annotation["iscrowd"] or rng.rand() < 0.5 else polygon
                )
                # exactly on the borders of COCO's area ranges, too
                annotation["area"] = float(rng.choice([box[2] * box[3], 32**2, 96**2, 100.0]))
            annotations.append(annotation)
    return {
        "info": {},
        "images": [{"id": i, "width": SIZE, "height": SIZE} for i in images],
        "annotations": annotations,
        "categories": [{"id": c, "name": f"c{c}"} for c in categories],
    }


def _detections(rng: np.random.RandomState, gt: dict[str, Any], masks: bool) -> list[dict[str, Any]]:
    categories = [c["id"] for c in gt["categories"]]
    results = []
    for image in gt["images"]:
        objects = [a for a in gt["annotations"] if a["image_id"] == image["id"]]
        count = 0 if rng.rand() < 0.15 else rng.randint(0, 13)
        for _ in range(count):
            box, category = _random_box(rng), int(rng.choice(categories))
            if objects and rng.rand() < 0.6:
                target = objects[rng.randint(len(objects))]
                category = target["category_id"]
                shift = rng.choice([-2.0, 0.0, 0.0, 2.0, 1.3], 4) if rng.rand() < 0.6 else np.zeros(4)
                box = [float(v) for v in np.maximum(np.add(target["bbox"], shift), [0, 0, 1, 1])]
            # most scores are tied
            score = float(rng.choice([0.1, 0.3, 0.5, 0.9]) if rng.rand() < 0.7 else rng.rand())
            result = {"image_id": image["id"], "category_id": category, "score": score}
            result.update({"segmentation": rle_of_box(box, rng)} if masks else {"bbox": box})
            results.append(result)
    rng.shuffle(results)
    return results


def random_coco(seed: int, masks: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth and at least one detection: ties of scores and IoUs, crowds, empty images and empty classes."""
    rng = np.random.RandomState(seed)
    while True:
        gt = _ground_truth(rng, masks)
        results = _detections(rng, gt, masks)
        if results:
            return gt, results


def run(
    cocoeval: type[COCOeval],
    gt: dict[str, Any],
    results: list[dict[str, Any]],
    iou_type: str,
    change: Callable[[Any], None] | None = None,
    load: Callable[[COCO, list[dict[str, Any]]], Any] = COCO.loadRes,
) -> COCOeval:
    """Evaluate copies of the data from beginning to end.

    Args:
        cocoeval: the class to run.
        gt: ground truth.
        results: detections.
        iou_type: bbox, segm or keypoints.
        change: changes ``params``.
        load: makes the object of detections.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        coco_gt = COCO()
        coco_gt.dataset = copy.deepcopy(gt)
        coco_gt.createIndex()
        evaluation = cocoeval(coco_gt, load(coco_gt, copy.deepcopy(results)), iou_type)
        if change is not None:
            change(evaluation.params)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def assert_same(ours: COCOeval, reference: COCOeval) -> None:
    """The arrays and figures of two evaluations agree to 1e-9."""
    for name in ("precision", "recall", "scores"):
        np.testing.assert_allclose(ours.eval[name], reference.eval[name], rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(ours.stats, reference.stats, rtol=0, atol=1e-9)
    assert list(ours.eval["counts"]) == list(reference.eval["counts"])
    assert ours.eval["params"] is ours.params
