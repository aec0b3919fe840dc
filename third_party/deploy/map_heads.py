"""``GeneralizedRCNN`` whose heads look at whole feature maps, not at regions, as functions of pixels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from .parts import DetectorParts
from .protocol import SuppressionSettings, box_detector_parts


@runtime_checkable
class MapHeads(Protocol):
    """What the ROI heads offer that give boxes and scores directly and need no proposals.

    Attributes:
        postprocessing: settings of suppression, all images alike.
    """

    postprocessing: SuppressionSettings

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell, for each level."""

    def predict_raw(self, features: dict[str, Tensor]) -> list[Tensor]:
        """Feature maps by name -> raw predictions."""

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw predictions -> boxes ``Tensor[N, P, 4]`` in pixels and scores ``Tensor[N, P, K]`` in 0..1."""


class MapHeadsDetector(nn.Module):
    """Such a model in the form of :class:`.protocol.BoxDetector`.

    Args:
        model: the detector; its weights are shared, not copied.
    """

    model: Any  # a GeneralizedRCNN

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.postprocessing = model.roi_heads.postprocessing
        self.pad_value = 0.0
        self.pixel_mean = model.pixel_mean

    @property
    def size_divisibility(self) -> int:
        """Height and width of a batch are multiples of this many pixels."""
        return max(self.model.backbone.size_divisibility, 1)

    def network(self, images: Tensor) -> list[Tensor]:
        """Raw predictions of normalised images."""
        return list(self.model.roi_heads.predict_raw(self.model.backbone(images)))

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels -> the input of :meth:`network`."""
        normalized: Tensor = (pixels - self.model.pixel_mean) / self.model.pixel_std
        return normalized

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """See :meth:`MapHeads.decode`."""
        boxes, scores = self.model.roi_heads.decode(raw)
        return boxes, scores


def map_heads_parts(model: Any) -> DetectorParts:
    """The forms of a ``GeneralizedRCNN`` whose ROI heads follow :class:`MapHeads`; padding is the pixels' mean."""
    return replace(
        box_detector_parts(MapHeadsDetector(model)),
        name=type(model).__name__,
        input_format=model.input_format or "BGR",
        coarsest_stride=max(model.roi_heads.strides),
        pad_values=tuple(model.pixel_mean.flatten().tolist()),
    )
