"""Inference as one function of the image tensor, for compilers and exporters."""

import torch.nn.functional as F
from torch import Tensor, nn

from .meta_arch import YOLO

__all__ = ["TraceableYOLO"]


class TraceableYOLO(nn.Module):
    """A detector up to decoded boxes and scores, without anything whose shape depends on the data.

    What is left to the caller is non-maximum suppression. Works with ``torch.export``, height and width being
    dynamic multiples of the model's ``size_divisibility``.

    Args:
        model: the detector; its weights are shared, not copied.
    """

    def __init__(self, model: YOLO) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Decode every prediction.

        Args:
            images: ``Tensor[N, C, H, W]`` of pixel values, any height and width; padded here.

        Returns:
            boxes ``Tensor[N, P, 4]``, corners in pixels and not clipped, and scores ``Tensor[N, P, K]`` in [0, 1].
        """
        model, divisor = self.model, self.model.size_divisibility
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % divisor, 0, -height % divisor), value=model.pad_value)
        return model.predict_dense(model.normalize(padded))
