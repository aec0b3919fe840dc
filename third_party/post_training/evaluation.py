"""What a detector, or an exported file in its place, reaches on a data set."""

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pycocotools.coco import COCO
from torch import nn

from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.evaluation.coco_protocol import _evaluate_predictions_on_coco

from .data import DetectionBatches

Model = Callable[[Any], Any] | nn.Module


@dataclass
class Evaluation:
    """Results on a data set.

    Attributes:
        task: "segm" for models with masks, else "bbox": the one whose AP decides.
        metrics: task -> metric -> percent, NaN where there is none.
        predictions: of each image, ``{"image_id", "instances": records in COCO's format}``.
    """

    task: str
    metrics: dict[str, dict[str, float]]
    predictions: list[dict[str, Any]] = field(repr=False, default_factory=list)

    @property
    def ap(self) -> float:
        """AP of boxes, in percent."""
        return self.metrics["bbox"]["AP"]

    def per_class(self) -> dict[str, float]:
        """AP of boxes of each class."""
        return {name[3:]: value for name, value in self.metrics["bbox"].items() if name.startswith("AP-")}

    def to_dict(self) -> dict[str, Any]:
        """The metrics as plain values; None where there is no figure."""
        return {
            task: {name: None if math.isnan(value) else value for name, value in metrics.items()}
            for task, metrics in self.metrics.items()
        }


class _KeepingEvaluator(COCOEvaluator):
    """Evaluates some images only, writes nothing, and hands its predictions out."""

    def __init__(self, name: str, images: Sequence[Any]) -> None:
        super().__init__(name, distributed=False)
        self.images = list(images)

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """Of the images that were processed."""
        return self._predictions

    @predictions.setter
    def predictions(self, predictions: Sequence[dict[str, Any]]) -> None:
        wanted = set(self.images)
        self._predictions = [prediction for prediction in predictions if prediction["image_id"] in wanted]

    def evaluate(self, img_ids: Sequence[int] | None = None) -> dict[str, Any]:
        """See the base class; by default over ``images``."""
        return super().evaluate(self.images if img_ids is None else img_ids)


def evaluate(model: Model, batches: DetectionBatches) -> Evaluation:
    """Run a model over a data set and evaluate as COCO does.

    Args:
        model: from inputs of the standard form to "instances".
        batches: without annotations; the images that are judged are those of its records.

    Raises:
        ValueError: the data set has no COCO json file.
    """
    evaluator = _evaluator(batches.name, [record["image_id"] for record in batches.records])
    return _evaluation(evaluator, inference_on_dataset(model, batches, evaluator))


def evaluate_predictions(name: str, predictions: Sequence[dict[str, Any]], images: Sequence[Any]) -> Evaluation:
    """The same for predictions that were made before, over some of the images."""
    evaluator = _evaluator(name, images)
    evaluator.predictions = list(predictions)
    return _evaluation(evaluator, evaluator.evaluate())


def agreement(before: Evaluation, after: Evaluation, threshold: float = 0.3) -> float:
    """AP of boxes, in percent, with another model's detections in the place of ground truth.

    Args:
        before: its evaluation; detections above the threshold count.
        after: what is judged, on the same images.
        threshold: of the score.

    Returns:
        NaN where there is no such detection; 0 where nothing is detected instead.
    """
    truth = [record for record in _numbered(before) if record["score"] > threshold]
    found = _numbered(after)
    if not truth or not found:
        return math.nan if not truth else 0.0
    images = sorted({prediction["image_id"] for prediction in before.predictions}, key=str)
    categories = sorted({record["category_id"] for record in (*truth, *found)})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": category, "name": str(category)} for category in categories],
        "annotations": [
            {**record, "id": number, "area": record["bbox"][2] * record["bbox"][3], "iscrowd": 0}
            for number, record in enumerate(truth, 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return float(_evaluate_predictions_on_coco(coco, found, "bbox").stats[0]) * 100


def _numbered(evaluation: Evaluation) -> list[dict[str, Any]]:
    """All detections' boxes, classes counted from 1."""
    return [
        {key: record[key] for key in ("image_id", "bbox", "score")} | {"category_id": record["category_id"] + 1}
        for prediction in evaluation.predictions
        for record in prediction.get("instances", ())
    ]


def _evaluator(name: str, images: Sequence[Any]) -> _KeepingEvaluator:
    if not hasattr(MetadataCatalog.get(name), "json_file"):
        raise ValueError(f"data set {name!r} has no COCO json file to evaluate with")
    return _KeepingEvaluator(name, images)


def _evaluation(evaluator: _KeepingEvaluator, metrics: dict[str, dict[str, float]]) -> Evaluation:
    metrics = metrics or {"bbox": {"AP": math.nan}}
    return Evaluation("segm" if "segm" in metrics else "bbox", metrics, list(evaluator.predictions))
