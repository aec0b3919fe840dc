"""RetinaNet, FCOS and other detectors with one head over a pyramid, as functions of pixels."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from detectron2.modeling.meta_arch.dense_detector import DenseDetector

from ..quantization.export import landmark
from .parts import DetectorParts
from .registry import register_parts
from .selection import PaddedDetections, detections, gather_rows, top_rows
from .suppression import SUPPRESSED


class DenseSettings(Protocol):
    """What of a ``DenseDetector`` makes detections of its predictions."""

    num_classes: int
    test_topk_candidates: int
    test_nms_thresh: float
    test_score_thresh: float
    max_detections_per_image: int
    anchor_generator: Any
    box2box_transform: Any


class _Form(nn.Module):
    """What the forms share.

    Args:
        model: the detector; its weights are shared, not copied.
    """

    model: Any  # a DenseDetector, of which attributes of its subclasses are used

    def __init__(self, model: DenseDetector) -> None:
        super().__init__()
        self.model = model

    def predictions(self, pixels: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Feature maps and predictions, as ``DenseDetector.predict_dense`` gives them."""
        features, predictions = self.model.predict_dense((pixels - self.model.pixel_mean) / self.model.pixel_std)
        return features, predictions


class DensePredictions(_Form):
    """Pixels -> the head's predictions, kind by kind, level by level."""

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``Tensor[N, C, H, W]`` in the range of the model's pixel statistics -> a list of maps."""
        return [level for kind in self.predictions(pixels)[1] for level in kind]


class DenseBoxes(_Form):
    """Pixels -> boxes and scores of all anchors."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """``Tensor[N, C, H, W]`` -> boxes ``Tensor[N, A, 4]``, not clipped, and scores ``Tensor[N, A, K]``."""
        features, predictions = self.predictions(pixels)
        scores, deltas = self.model.scores_and_deltas(predictions)
        anchors = torch.cat([level.tensor for level in self.model.anchor_generator(features)])
        return decode(self.model, torch.cat(deltas, dim=1), anchors), torch.cat(scores, dim=1)


class DenseDetections(_Form):
    """Pixels -> detections; only the candidates of suppression are decoded."""

    def forward(self, pixels: Tensor) -> PaddedDetections:
        """``Tensor[N, C, H, W]`` -> detections in pixels of the batch, not clipped."""
        model = self.model
        features, predictions = self.predictions(pixels)
        kinds = zip(("scores", "deltas"), model.scores_and_deltas(predictions), strict=True)
        scores, deltas = ([landmark(x, f"predictions.{kind}.{i}") for i, x in enumerate(xs)] for kind, xs in kinds)
        anchors = [level.tensor for level in model.anchor_generator(features)]
        found = [
            (decode(model, gather_rows(level_deltas, row), level_anchors[row]), best, label)
            for level_anchors, level_deltas, (row, best, label) in zip(
                anchors, deltas, [candidates(model, level) for level in scores], strict=True
            )
        ]
        return suppress_candidates(model, found)


def candidates(model: DenseSettings, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The best (anchor, class) pairs of a level.

    Args:
        model: says how many.
        scores: ``Tensor[N, A_l, K]``.

    Returns:
        for each pair its anchor, score and class, each ``Tensor[N, test_topk_candidates]``; where there are not so
        many pairs, the score is ``SUPPRESSED``.
    """
    count = model.test_topk_candidates
    # k pairs have at most k anchors, those of highest score in any class.
    best_of_anchor, rows = top_rows(scores.amax(dim=2), count)
    pairs = torch.where(best_of_anchor.unsqueeze(2) > SUPPRESSED, gather_rows(scores, rows), SUPPRESSED)
    best, pair = top_rows(pairs.flatten(1), count)
    return rows.gather(1, pair.div(scores.shape[2], rounding_mode="floor")), best, pair.remainder(scores.shape[2])


def decode(model: DenseSettings, deltas: Tensor, anchors: Tensor) -> Tensor:
    """Boxes ``Tensor[N, A, 4]`` from deltas ``Tensor[N, A, 4]`` and anchors ``Tensor[A, 4]`` or ``Tensor[N, A, 4]``."""
    boxes: Tensor = model.box2box_transform.apply_deltas(deltas, anchors.expand_as(deltas))
    return boxes


def suppress_candidates(model: DenseSettings, levels: list[tuple[Tensor, Tensor, Tensor]]) -> PaddedDetections:
    """Detections from each level's boxes ``[N, C_l, 4]``, scores ``[N, C_l]`` and classes ``[N, C_l]``."""
    boxes, best, label = (torch.cat(column, dim=1) for column in zip(*levels, strict=True))
    classes = torch.arange(model.num_classes, device=label.device)
    scores = torch.where(label.unsqueeze(2) == classes, best.unsqueeze(2), SUPPRESSED)
    return detections(
        boxes,
        scores,
        iou_threshold=model.test_nms_thresh,
        score_threshold=model.test_score_thresh,
        max_detections=model.max_detections_per_image,
    )


class DenseSelection:
    """From the outputs of :class:`DenseBoxes` to detections.

    Args:
        model: says how many candidates, and the strides of its levels.
    """

    def __init__(self, model: DenseSettings) -> None:
        self.model = model

    def __call__(
        self, boxes: Tensor, scores: Tensor, sizes: Tensor | None, batch_size: tuple[int, int]
    ) -> PaddedDetections:
        """Args are those of :attr:`DetectorParts.select`."""
        generator, (height, width) = self.model.anchor_generator, batch_size
        counts = [
            anchors * -(-height // stride) * -(-width // stride)
            for anchors, stride in zip(generator.num_anchors, generator.strides, strict=True)
        ]
        found = []
        for level_boxes, level_scores in zip(boxes.split(counts, 1), scores.split(counts, 1), strict=True):
            row, best, label = candidates(self.model, level_scores)
            found.append((gather_rows(level_boxes, row), best, label))
        return suppress_candidates(self.model, found)


@register_parts(DenseDetector)
def dense_detector_parts(model: Any) -> DetectorParts:
    """The forms of RetinaNet, FCOS and other classes derived from ``DenseDetector``."""
    return DetectorParts(
        name=type(model).__name__,
        dense=DensePredictions(model),
        detector=DenseBoxes(model),
        suppressed=DenseDetections(model),
        select=DenseSelection(model),
        size_divisibility=max(model.backbone.size_divisibility, 1),
        input_format=model.input_format,
        coarsest_stride=max(model.anchor_generator.strides),
        pad_values=tuple(model.pixel_mean.flatten().tolist()),
    )
