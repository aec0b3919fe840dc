"""What a detector, or an exported file in its place, reaches on a data set."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, inference_on_dataset

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


def _evaluator(name: str, images: Sequence[Any]) -> _KeepingEvaluator:
    if not hasattr(MetadataCatalog.get(name), "json_file"):
        raise ValueError(f"data set {name!r} has no COCO json file to evaluate with")
    return _KeepingEvaluator(name, images)


def _evaluation(evaluator: _KeepingEvaluator, metrics: dict[str, dict[str, float]]) -> Evaluation:
    metrics = metrics or {"bbox": {"AP": math.nan}}
    return Evaluation("segm" if "segm" in metrics else "bbox", metrics, list(evaluator.predictions))
