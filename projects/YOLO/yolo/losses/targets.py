"""Ground truth of a batch as padded tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detectron2.structures import Instances


@dataclass(frozen=True)
class Targets:
    """Objects of N images, padded to M rows an image.

    Args:
        labels: ``Tensor[N, M]``, int64 class indices; 0 in padded rows.
        boxes: ``Tensor[N, M, 4]``, float32 corners (x0, y0, x1, y1) in pixels of the padded batch image.
        mask: ``Tensor[N, M]``, bool; True where a row holds an object.

    Raises:
        ValueError: shapes that do not match.
    """

    labels: Tensor
    boxes: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        expected = tuple(self.labels.shape)
        if len(expected) != 2 or tuple(self.mask.shape) != expected or tuple(self.boxes.shape) != (*expected, 4):
            shapes = {name: tuple(getattr(self, name).shape) for name in ("labels", "boxes", "mask")}
            raise ValueError(f"targets have shapes {shapes}; allowed are labels [N, M], boxes [N, M, 4], mask [N, M]")

    @classmethod
    def from_instances(cls, instances: Sequence[Instances]) -> "Targets":
        """Pad ``gt_classes`` and ``gt_boxes`` of every image to the longest.

        Args:
            instances: one an image, each with ``gt_boxes`` (``Boxes``) and ``gt_classes``; may be empty of objects.

        Returns:
            The targets, on the device of the boxes.

        Raises:
            ValueError: no image at all.
        """
        if not instances:
            raise ValueError("instances is empty; targets need at least one image")
        device = instances[0].gt_boxes.tensor.device
        size = (len(instances), max(len(each) for each in instances))
        labels = torch.zeros(size, dtype=torch.int64, device=device)
        boxes = torch.zeros((*size, 4), dtype=torch.float32, device=device)
        mask = torch.zeros(size, dtype=torch.bool, device=device)
        for row, each in enumerate(instances):
            labels[row, : len(each)] = each.gt_classes
            boxes[row, : len(each)] = each.gt_boxes.tensor
            mask[row, : len(each)] = True
        return cls(labels, boxes, mask)

    def flat(self) -> tuple[Tensor, Tensor, Tensor]:
        """The objects without padding, image by image.

        Returns:
            Image index ``Tensor[T]``, label ``Tensor[T]`` and box ``Tensor[T, 4]``.
        """
        image = torch.arange(len(self.mask), device=self.mask.device).unsqueeze(1).expand_as(self.mask)
        return image[self.mask], self.labels[self.mask], self.boxes[self.mask]
