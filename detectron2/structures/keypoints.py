"""Keypoints, and heat maps of them."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Keypoints:
    """K keypoints of N instances: float32 ``Tensor[N, K, 3]`` of (x, y, visibility) in ``tensor``.

    Visibility is COCO's: 0 not labelled, 1 labelled but hidden, 2 visible.
    """

    def __init__(self, keypoints: Tensor | np.ndarray | list[list[float]]) -> None:
        """
        Args:
            keypoints: shape (N, K, 3).

        Raises:
            ValueError: another shape.
        """
        tensor = torch.as_tensor(keypoints, dtype=torch.float32)
        if tensor.dim() != 3 or tensor.shape[2] != 3:
            raise ValueError(f"Keypoints wants shape (N, K, 3), got {tuple(tensor.shape)}")
        self.tensor = tensor

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def to(self, *args: Any, **kwargs: Any) -> "Keypoints":
        """As ``Tensor.to``."""
        return type(self)(self.tensor.to(*args, **kwargs))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def to_heatmap(self, boxes: Tensor, heatmap_size: int) -> tuple[Tensor, Tensor]:
        """Cells of a heat map over each instance's box that its keypoints fall into; targets of a keypoint head.

        Args:
            boxes: ``Tensor[N, 4]``.
            heatmap_size: cells S along each side.

        Returns:
            two int64 ``Tensor[N, K]``: index ``y * S + x`` of the cell, and 1 where the keypoint is labelled and
            inside the box (elsewhere both are 0).
        """
        return _keypoints_to_heatmap(self.tensor, boxes, heatmap_size)

    def __getitem__(self, item: int | slice | torch.BoolTensor) -> "Keypoints":
        """Some of the instances: by an int, a slice, indices or a bool mask."""
        chosen = self.tensor[item]
        return Keypoints(chosen[None] if isinstance(item, int) else chosen)

    def __repr__(self) -> str:
        return f"Keypoints(num_instances={len(self)})"

    @staticmethod
    def cat(keypoints_list: list["Keypoints"]) -> "Keypoints":
        """One set of all instances, which must agree in their number of keypoints."""
        return type(keypoints_list[0])(torch.cat([keypoints.tensor for keypoints in keypoints_list], dim=0))


def _keypoints_to_heatmap(keypoints: Tensor, rois: Tensor, heatmap_size: int) -> tuple[Tensor, Tensor]:
    """See ``Keypoints.to_heatmap``."""
    location, start, end = keypoints[..., :2], rois[:, None, :2], rois[:, None, 2:]
    cell = ((location - start) * (heatmap_size / (end - start))).floor().long()
    cell = torch.where(location == end, heatmap_size - 1, cell)  # the box's far border belongs to its last cell
    inside = ((cell >= 0) & (cell < heatmap_size)).all(dim=2)
    valid = (inside & (keypoints[..., 2] > 0)).long()
    return (cell[..., 1] * heatmap_size + cell[..., 0]) * valid, valid


@torch.no_grad()
def heatmaps_to_keypoints(maps: Tensor, rois: Tensor) -> Tensor:
    """Read keypoints off heat maps: the highest point after enlarging each map to its box (Mask R-CNN, section 5).

    Args:
        maps: logits, ``Tensor[N, K, S, S]``.
        rois: boxes of the instances, ``Tensor[N, 4]``.

    Returns:
        ``Tensor[N, K, 4]`` of (x, y, logit, score); the score is the cell's share of the map's softmax, where the
        denominator is summed over the map before enlarging.
    """
    keypoints = maps.new_zeros(maps.shape[0], maps.shape[1], 4)
    sizes = (rois[:, 2:] - rois[:, :2]).clamp(min=1)
    for keypoint, logits, roi, size in zip(keypoints, maps, rois, sizes, strict=True):
        width, height = size.ceil().int().tolist()
        enlarged = F.interpolate(logits[None], size=(height, width), mode="bicubic", align_corners=False)[0].flatten(1)
        peak, index = enlarged.max(dim=1)
        cell = torch.stack([index % width, index // width], dim=1)
        keypoint[:, :2] = roi[:2] + (cell + 0.5) * (size / size.ceil())
        keypoint[:, 2] = peak
        keypoint[:, 3] = 1 / (logits.flatten(1) - peak[:, None]).exp().sum(dim=1)
    return keypoints
