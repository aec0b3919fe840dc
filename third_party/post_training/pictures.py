"""Pictures of what a detector finds, float and quantized."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from detectron2.data import MetadataCatalog
from detectron2.data.detection_utils import read_image
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils.visualizer import Visualizer

from .data import Record, choose
from .evaluation import Evaluation

_FOLDER = "pictures"


def draw_pictures(
    dataset: str,
    records: Sequence[Record],
    before: Evaluation,
    after: Evaluation,
    folder: Path,
    *,
    count: int = 4,
    threshold: float = 0.3,
    longest: int = 480,
) -> list[dict[str, str]]:
    """Write a pair of PNG files for some images.

    Args:
        dataset: name of the data set, for the names of classes.
        records: images that both were evaluated on; those that are drawn are evenly spread among those with objects.
        before, after: evaluations in float and quantized.
        folder: gets a folder ``pictures``.
        count: at most so many images.
        threshold: detections of lower scores are left out.
        longest: pixels of the longer side at most.

    Returns:
        for each image ``caption``, and ``before`` and ``after``, files relative to the folder.
    """
    shown = [record for record in records if record.get("annotations")] or list(records)
    (folder / _FOLDER).mkdir(exist_ok=True)
    made = []
    for number, record in enumerate(choose(shown, min(count, len(shown)))):
        pair = {"caption": Path(record["file_name"]).name}
        for name, evaluation in (("before", before), ("after", after)):
            file = f"{_FOLDER}/{number}_{name}.png"
            _drawn(dataset, record, evaluation, threshold, longest).save(folder / file)
            pair[name] = file
        made.append(pair)
    return made


def _drawn(dataset: str, record: Record, evaluation: Evaluation, threshold: float, longest: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(read_image(record["file_name"], format="RGB")))
    scale = min(1.0, longest / max(image.size))
    image = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))
    found = _detections(evaluation, record["image_id"], threshold)
    instances = Instances((image.height, image.width))
    boxes = torch.tensor([one["bbox"] for one in found], dtype=torch.float64).view(-1, 4) * scale
    instances.pred_boxes = Boxes(BoxMode.convert(boxes, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS).float())
    instances.scores = torch.tensor([one["score"] for one in found])
    instances.pred_classes = torch.tensor([one["category_id"] for one in found], dtype=torch.int64)
    drawing = Visualizer(np.asarray(image), MetadataCatalog.get(dataset)).draw_instance_predictions(instances)
    return Image.fromarray(drawing.get_image())


def _detections(evaluation: Evaluation, image: Any, threshold: float) -> list[dict[str, Any]]:
    for prediction in evaluation.predictions:
        if prediction["image_id"] == image:
            return [one for one in prediction.get("instances", ()) if one["score"] >= threshold]
    return []
