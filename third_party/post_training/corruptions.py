"""Images made worse: brightness, blur, noise, JPEG."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .data import DetectionBatches

Corruption = Callable[[Tensor, np.random.Generator], Tensor]


def brightness(image: Tensor, rng: np.random.Generator, factor: float = 0.4) -> Tensor:
    """``Tensor[C, H, W]`` of 0..255 with all values times ``factor``."""
    return (image.float() * factor).clamp(0, 255)


def blur(image: Tensor, rng: np.random.Generator, sigma: float = 2.0) -> Tensor:
    """A Gaussian blur of so many pixels, edges repeated."""
    radius = int(3 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    x = F.pad(image.float().unsqueeze(1), [radius] * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return x.squeeze(1).clamp(0, 255)


def noise(image: Tensor, rng: np.random.Generator, deviation: float = 25.0) -> Tensor:
    """Gaussian noise of this standard deviation on each value."""
    added = torch.from_numpy(rng.normal(0.0, deviation, image.shape).astype(np.float32))
    return (image.float() + added).clamp(0, 255)


def jpeg(image: Tensor, rng: np.random.Generator, quality: int = 10) -> Tensor:
    """What JPEG of a quality (1..95) leaves of an image of three channels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float()


CORRUPTIONS: dict[str, Corruption] = {"brightness": brightness, "blur": blur, "noise": noise, "jpeg": jpeg}


class CorruptedBatches(DetectionBatches):
    """Batches whose images are corrupted at the size at which the model gets them.

    Args:
        batches: of the images as they are.
        corruption: a name of :data:`CORRUPTIONS`.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(self, batches: DetectionBatches, corruption: str) -> None:
        super().__init__(
            batches.cfg, batches.name, batches.records, annotated=batches.annotated, batch_size=batches.batch_size
        )
        if corruption not in CORRUPTIONS:
            raise ValueError(f"corruption must be one of {', '.join(CORRUPTIONS)}; got {corruption!r}")
        self.corruption = corruption

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        change, rng = CORRUPTIONS[self.corruption], np.random.default_rng(0)
        for batch in super().__iter__():
            for sample in batch:
                sample["image"] = change(sample["image"], rng)
            yield batch
