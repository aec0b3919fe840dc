"""The detection loss against what the float model itself detects: a lesson that needs no labels."""

from typing import Any

import torch
from torch import nn

from detectron2.structures import BitMasks, Instances, Keypoints

from .loss import detection_losses


class OwnLabels:
    """A lesson for tuning: the float model's confident detections stand for the truth.

    All losses of the detector count, those of branches that are there for training alone as well.

    Args:
        threshold: of the score.

    Attributes:
        count: of the labels so far.
    """

    def __init__(self, threshold: float = 0.3) -> None:
        self.threshold = threshold
        self.count = 0

    def __call__(
        self, model: nn.Module, batch: list[dict[str, Any]], found: list[dict[str, Instances]]
    ) -> torch.Tensor:
        """The sum of the losses.

        Args:
            model: a detector, in evaluation mode.
            batch: inputs of the standard form.
            found: what the float model gave for them at their own size, as :func:`at_input_size` runs it.

        Raises:
            ValueError: it gives no instances.
        """
        if not all("instances" in one for one in found):
            raise ValueError(f"{type(model).__name__} detects no instances to be tuned to: set TUNING.ITERATIONS to 0")
        labels = [as_labels(one["instances"], self.threshold) for one in found]
        self.count += sum(map(len, labels))
        labelled = [{**image, "instances": own} for image, own in zip(batch, labels, strict=True)]
        return torch.stack(list(detection_losses(model, labelled).values())).sum()


def at_input_size(model: nn.Module, batch: list[dict[str, Any]]) -> Any:
    """Run a detector so that its detections are at the size of its inputs, not at that of the files they came from."""
    return model([{key: value for key, value in image.items() if key not in ("height", "width")} for image in batch])


def as_labels(found: Instances, threshold: float) -> Instances:
    """Detections above a score as ground truth for a training step."""
    kept = found[found.scores > threshold]
    labels = Instances(kept.image_size)
    labels.gt_boxes, labels.gt_classes = kept.pred_boxes, kept.pred_classes
    if kept.has("pred_masks"):
        labels.gt_masks = BitMasks(kept.pred_masks)
    if kept.has("pred_keypoints"):
        points = kept.pred_keypoints.clone()
        points[..., 2] = 2  # visible
        labels.gt_keypoints = Keypoints(points[..., :3])
    return labels
