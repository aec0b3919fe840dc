"""Dense inference as one function of the image tensor, for compilers and exporters."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dense_detector import DenseDetector


class TraceableDenseInference(nn.Module):
    """A dense detector up to decoded boxes and scores, without anything whose shape depends on the data.

    What is left to the caller is the choice of candidates and non-maximum suppression. Works with
    ``torch.compile(fullgraph=True)`` and, height and width being dynamic, with ``torch.export``.

    Args:
        model: the detector; its weights are shared, not copied.
    """

    def __init__(self, model: DenseDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Decode every anchor.

        Args:
            images: ``Tensor[N, C, H, W]`` in the range of ``model.pixel_mean``, any height and width; padded here
                to what the backbone wants.

        Returns:
            ``Tensor[N, A, 4]`` of boxes, XYXY in pixels and not clipped, and ``Tensor[N, A, K]`` of scores in [0, 1].
        """
        model = self.model
        normalized = (images - model.pixel_mean) / model.pixel_std
        features, predictions = model.predict_dense(pad_to_multiple(normalized, model.backbone.size_divisibility))
        scores, deltas = model.scores_and_deltas(predictions)
        anchors = torch.cat([level.tensor for level in model.anchor_generator(features)])
        flat_deltas = torch.cat(deltas, dim=1).flatten(0, 1)
        batch = images.shape[0]
        boxes = model.box2box_transform.apply_deltas(flat_deltas, anchors.repeat(batch, 1))
        return boxes.unflatten(0, (batch, -1)), torch.cat(scores, dim=1)


def pad_to_multiple(images: Tensor, divisor: int) -> Tensor:
    """Pad ``Tensor[N, C, H, W]`` with zeros at the bottom and right until ``divisor`` divides height and width."""
    if divisor <= 1:
        return images
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % divisor, 0, -height % divisor))
