"""YOLO, and every other detector that offers the same methods, as functions of pixels."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..quantization.export import landmark
from .parts import DetectorParts
from .registry import register_parts
from .selection import PaddedDetections, detections
from .suppression import SUPPRESSED


class SuppressionSettings(Protocol):
    """How boxes and scores become detections."""

    score_threshold: float
    iou_threshold: float
    max_candidates: int
    max_detections: int
    multi_label: bool
    class_agnostic: bool


@runtime_checkable
class BoxDetector(Protocol):
    """What a detector offers whose network gives boxes and scores directly.

    Attributes:
        network: normalised images ``Tensor[N, C, H, W]`` -> raw predictions, a list of tensors.
        postprocessing: settings of suppression, all images alike.
        pad_value: value of the padding, in the units of the pixels.
        pixel_mean: one value for each channel.
    """

    network: Any
    postprocessing: SuppressionSettings
    pad_value: float
    pixel_mean: Tensor

    @property
    def size_divisibility(self) -> int:
        """Height and width of the network's input are multiples of this many pixels."""

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels -> the network's input."""

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw predictions -> boxes ``Tensor[N, P, 4]`` in pixels and scores ``Tensor[N, P, K]`` in 0..1."""


class _Form(nn.Module):
    """What the forms share.

    Args:
        model: the detector; its weights are shared, not copied.
    """

    model: Any  # a BoxDetector

    def __init__(self, model: BoxDetector) -> None:
        super().__init__()
        self.model = model

    def raw(self, pixels: Tensor) -> list[Tensor]:
        """See :class:`RawPredictions`."""
        return list(self.model.network(self.model.normalize(pixels)))

    def decoded(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`DecodedPredictions`."""
        boxes, scores = self.model.decode(self.raw(pixels))
        return boxes, scores


class RawPredictions(_Form):
    """Pixels -> raw predictions."""

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``Tensor[N, C, H, W]`` of pixel values -> a list of maps."""
        return self.raw(pixels)


class DecodedPredictions(_Form):
    """Pixels -> boxes and scores of all predictions."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """``Tensor[N, C, H, W]`` -> boxes ``Tensor[N, P, 4]``, not clipped, and scores ``Tensor[N, P, K]``."""
        return self.decoded(pixels)


class SuppressedPredictions(_Form):
    """Pixels -> detections."""

    def forward(self, pixels: Tensor) -> PaddedDetections:
        """``Tensor[N, C, H, W]`` -> detections in pixels of the batch, not clipped."""
        boxes, scores = self.decoded(pixels)
        boxes, scores = landmark(boxes, "predictions.boxes"), landmark(scores, "predictions.scores")
        return select(self.model.postprocessing, boxes, scores)


def select(settings: SuppressionSettings, boxes: Tensor, scores: Tensor) -> PaddedDetections:
    """Detections from boxes ``[N, P, 4]`` and scores ``[N, P, K]``.

    The limit on candidates is left out: a box's fate depends on better ones only, so it would matter only if the
    candidates within the limit had fewer than ``max_detections`` survivors.
    """
    if not settings.multi_label:
        best = F.one_hot(scores.argmax(dim=2), scores.shape[2]).bool()
        scores = torch.where(best, scores, SUPPRESSED)
    return detections(
        boxes,
        scores,
        iou_threshold=settings.iou_threshold,
        score_threshold=settings.score_threshold,
        max_detections=settings.max_detections,
        class_agnostic=settings.class_agnostic,
    )


@register_parts(BoxDetector)
def box_detector_parts(model: Any) -> DetectorParts:
    """The forms of a detector that follows :class:`BoxDetector`."""

    def select_all(
        boxes: Tensor, scores: Tensor, sizes: Tensor | None, batch_size: tuple[int, int]
    ) -> PaddedDetections:
        return select(model.postprocessing, boxes, scores)

    return DetectorParts(
        name=type(model).__name__,
        dense=RawPredictions(model),
        detector=DecodedPredictions(model),
        suppressed=SuppressedPredictions(model),
        select=select_all,
        size_divisibility=model.size_divisibility,
        input_format=getattr(model, "input_format", "RGB"),
        coarsest_stride=model.size_divisibility,
        pad_values=(float(model.pad_value),) * model.pixel_mean.numel(),
    )
