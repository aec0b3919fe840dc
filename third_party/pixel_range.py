"""What is known of a detector's images, whatever the data set: pixels are bytes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .quantization.ptq.input_range import InputRange


def images_of(batch: Sequence[dict[str, Any]]) -> list[Tensor]:
    """The images of a batch as the loader gives it, of bytes or of floating-point numbers on the scale of bytes.

    Those that may be on another scale, such as 0..1, are left out: their range comes from the data.
    """
    return [inputs["image"] for inputs in batch if _holds_bytes(inputs["image"])]


def _holds_bytes(image: Tensor) -> bool:
    if image.dtype == torch.uint8 or image.numel() == 0:
        return True
    return 0 <= float(image.min()) and 1 < float(image.max()) <= 255


PIXELS = InputRange(0.0, 255.0, tensors=images_of)
