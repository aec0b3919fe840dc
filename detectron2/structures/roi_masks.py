"""Masks of boxes, as a mask head predicts them."""

from typing import Any

import torch
from torch import Tensor

from detectron2.layers.mask_ops import paste_masks_in_image
from detectron2.structures.bit_masks import BitMasks
from detectron2.utils.memory import retry_if_cuda_oom


class ROIMasks:
    """Masks of N boxes, each on a square grid over its box: ``Tensor[N, M, M]`` in ``tensor``."""

    def __init__(self, tensor: Tensor) -> None:
        """
        Args:
            tensor: probabilities, ``Tensor[N, M, M]``.

        Raises:
            ValueError: another shape.
        """
        if tensor.dim() != 3:
            raise ValueError(f"ROIMasks wants a tensor of shape (N, M, M), got {tuple(tensor.shape)}")
        self.tensor = tensor

    def to(self, device: torch.device) -> "ROIMasks":
        """The same masks on another device."""
        return ROIMasks(self.tensor.to(device))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __getitem__(self, item: Any) -> "ROIMasks":
        """Some of the masks: by a slice, indices or a bool mask.

        Raises:
            ValueError: an index that leaves something else than masks.
        """
        chosen = self.tensor[item]
        if isinstance(item, int):
            chosen = chosen[None]
        if chosen.dim() != 3:
            raise ValueError(f"indexing ROIMasks by {item!r} gives shape {tuple(chosen.shape)}, which are no masks")
        return ROIMasks(chosen)

    def __repr__(self) -> str:
        return f"ROIMasks(num_instances={len(self)})"

    def to_bitmasks(self, boxes: Tensor, height: int, width: int, threshold: float = 0.5) -> BitMasks:
        """Paste each mask into an image of this size; see ``paste_masks_in_image``.

        Args:
            boxes: ``Tensor[N, 4]`` or ``Boxes``, one for each mask.
            height, width: of the image.
            threshold: probability from which on a pixel is inside.
        """
        paste = retry_if_cuda_oom(paste_masks_in_image)
        return BitMasks(paste(self.tensor, boxes, (height, width), threshold=threshold))
