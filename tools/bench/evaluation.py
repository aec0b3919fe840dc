"""COCO evaluation of boxes: 5,000 images, 100 detections each, 80 classes; pycocotools beside it."""

import contextlib
import functools
import io

import numpy as np

from .timing import CASES

IMAGES, DETECTIONS, CLASSES = 5000, 100, 80


def _random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    wh = rng.uniform(8, 300, (count, 2))
    return np.round(np.concatenate([rng.uniform(0, 340, (count, 2)), wh], axis=1), 2)


@functools.cache
def _data():
    """Ground truth (7 boxes an image, 1 percent crowds) and detections, half of them near a ground truth."""
    from pycocotools.coco import COCO

    rng = np.random.default_rng(0)
    annotations, results = [], []
    for image in range(1, IMAGES + 1):
        truth, classes = _random_boxes(rng, 7), rng.integers(1, CLASSES + 1, 7)
        for box, category in zip(truth.tolist(), classes.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(rng.random() < 0.01),
                }
            )
        pick = rng.integers(0, 7, DETECTIONS // 2)
        near = truth[pick] + rng.normal(0, 8, (DETECTIONS // 2, 4))
        near[:, 2:] = near[:, 2:].clip(2)
        boxes = np.concatenate([near, _random_boxes(rng, DETECTIONS // 2)])
        labels = np.concatenate([classes[pick], rng.integers(1, CLASSES + 1, DETECTIONS // 2)])
        scores = rng.random(DETECTIONS)
        for box, category, score in zip(boxes.tolist(), labels.tolist(), scores.tolist(), strict=True):
            results.append({"image_id": image, "category_id": category, "bbox": box, "score": score})
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "height": 640, "width": 640} for i in range(1, IMAGES + 1)],
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in range(1, CLASSES + 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        detections = truth.loadRes(results)
    return truth, detections


def _evaluate(evaluator) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats


@CASES.add("cocoeval_opt_5000x100", repeat=3, peer="cocoeval_pycocotools_5000x100")
def _():
    from detectron2.evaluation.fast_eval_api import COCOeval_opt

    truth, detections = _data()
    return lambda: _evaluate(COCOeval_opt(truth, detections, "bbox"))


@CASES.add("cocoeval_pycocotools_5000x100", repeat=1, warm_up=0)
def _():
    from pycocotools.cocoeval import COCOeval

    truth, detections = _data()
    return lambda: _evaluate(COCOeval(truth, detections, "bbox"))
