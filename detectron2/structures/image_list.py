"""Images of different sizes as one batch."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from detectron2.layers.wrappers import move_device_like, shapes_to_tensor
from detectron2.utils.torch_version_utils import min_torch_version  # noqa: F401

__all__ = ["ImageList", "move_device_like", "shapes_to_tensor"]


class ImageList:
    """Images padded at the right and bottom to one size, and their sizes before.

    ``tensor`` is ``Tensor[N, ..., H, W]``; ``image_sizes`` holds one (height, width) for each image.
    """

    def __init__(self, tensor: Tensor, image_sizes: list[tuple[int, int]]) -> None:
        """
        Args:
            tensor: padded images, ``Tensor[N, ..., H, W]``.
            image_sizes: height and width of each without its padding.
        """
        self.tensor = tensor
        self.image_sizes = image_sizes

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, idx: int) -> Tensor:
        """One image without its padding, ``Tensor[..., h, w]``; a view."""
        height, width = self.image_sizes[idx]
        return self.tensor[idx, ..., :height, :width]

    def to(self, *args: Any, **kwargs: Any) -> "ImageList":
        """As ``Tensor.to``."""
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    @staticmethod
    def from_tensors(
        tensors: list[Tensor],
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: dict[str, int] | None = None,
    ) -> "ImageList":
        """Pad images to the largest height and width among them, and further where asked.

        Args:
            tensors: images, ``Tensor[..., h, w]`` with the same leading dimensions.
            size_divisibility: height and width become multiples of it, if it is larger than 1.
            pad_value: what to pad with.
            padding_constraints: ``{"square_size": s}`` pads to s x s, if it is larger than 0;
                ``{"size_divisibility": d}`` replaces the argument.

        Raises:
            ValueError: no images, leading dimensions that differ, or an image larger than the square.
        """
        if len(tensors) == 0:
            raise ValueError("ImageList.from_tensors got no images")
        for image in tensors:
            if image.dim() < 2 or image.shape[:-2] != tensors[0].shape[:-2]:
                shapes = [tuple(other.shape) for other in tensors]
                raise ValueError(
                    f"ImageList.from_tensors wants images that differ in height and width only, got {shapes}"
                )
        constraints = padding_constraints or {}
        sizes = [(image.shape[-2], image.shape[-1]) for image in tensors]
        height, width = _padded_size(
            sizes, constraints.get("square_size", 0), constraints.get("size_divisibility", size_divisibility)
        )

        # one call an image and no comparison of sizes, so that torch.export keeps height and width free
        padded = [
            F.pad(image, (0, width - w, 0, height - h), value=pad_value)
            for image, (h, w) in zip(tensors, sizes, strict=True)
        ]
        batch = padded[0][None] if len(padded) == 1 else torch.stack(padded)
        return ImageList(batch.contiguous(), sizes)


def _padded_size(sizes: list[tuple[int, int]], square: int, divisor: int) -> tuple[int, int]:
    """Height and width that hold all images."""
    height, width = sizes[0]
    for other_height, other_width in sizes[1:]:
        height, width = max(height, other_height), max(width, other_width)
    if square > 0:
        if height > square or width > square:
            raise ValueError(f"ImageList: an image of {height} x {width} does not fit in square_size {square}")
        height = width = square
    if divisor > 1:
        # written as size plus rest, which torch.export knows to be no smaller than the size
        height, width = height + -height % divisor, width + -width % divisor
    return height, width
