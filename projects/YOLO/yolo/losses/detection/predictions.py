"""Predictions of an anchor-free head with one distribution per side, levels joined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..anchor_points import anchor_points
from ..dfl import expected_distance


@dataclass(frozen=True)
class DensePredictions:
    """All A anchors of N images, or P chosen ones, which have one dimension in the place of N and A.

    Args:
        sides: ``Tensor[N, A, 4, bins]``, logits of the distances (left, top, right, bottom).
        logits: ``Tensor[N, A, K]``, class logits.
        points: ``Tensor[A, 2]``, centres of the cells in cells of their level.
        strides: ``Tensor[A, 1]``, pixels a cell.
        image_size: (height, width) in pixels.
    """

    sides: Tensor
    logits: Tensor
    points: Tensor
    strides: Tensor
    image_size: tuple[int, int]

    @classmethod
    def from_levels(
        cls, levels: Sequence[Tensor], strides: Sequence[int], bins: int, num_classes: int
    ) -> "DensePredictions":
        """Join the levels in float32.

        Args:
            levels: ``Tensor[N, 4 * bins + K, H, W]`` each: sides by bins, then classes.
            strides: of each level.
            bins: of a side; 1 means that the number is the distance itself.
            num_classes: K.

        Returns:
            The joined predictions.

        Raises:
            ValueError: a level with another number of channels, or another number of levels.
        """
        channels = 4 * bins + num_classes
        for index, level in enumerate(levels):
            if level.shape[1] != channels:
                raise ValueError(
                    f"level {index} has {level.shape[1]} channels; "
                    f"4 sides x {bins} bins + {num_classes} classes need {channels}"
                )
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        points, steps = anchor_points(shapes, strides, levels[0].device)
        sides, logits = _join([level.float().flatten(2) for level in levels], (4 * bins, num_classes))
        image_size = (shapes[0][0] * strides[0], shapes[0][1] * strides[0])
        return cls(sides.unflatten(2, (4, bins)), logits, points / steps, steps, image_size)

    def at(self, chosen: Tensor) -> "DensePredictions":
        """The P anchors in the mask ``chosen``, ``Tensor[N, A]``, image by image."""
        image, anchor = chosen.nonzero(as_tuple=True)
        sides, logits = self.sides[image, anchor], self.logits[image, anchor]
        return replace(self, sides=sides, logits=logits, points=self.points[anchor], strides=self.strides[anchor])

    def distances(self) -> Tensor:
        """Distances of the sides from the centre, ``Tensor[N, A, 4]`` in cells."""
        return self.sides.squeeze(-1) if self.sides.shape[-1] == 1 else expected_distance(self.sides)

    def boxes(self) -> Tensor:
        """Corners ``Tensor[N, A, 4]`` in cells of each anchor's level."""
        near, far = self.distances().split(2, dim=-1)
        return torch.cat((self.points - near, self.points + far), dim=-1)


def _join(levels: Sequence[Tensor], widths: Sequence[int]) -> list[Tensor]:
    """Channels of all levels, ``Tensor[N, C, A_l]``, as a ``Tensor[N, A, width]`` for each of ``widths``.

    Forward and backward keep the order of memory that the levels have.
    """
    if all(level.stride(1) == 1 for level in levels):
        parts = zip(*(level.transpose(1, 2).split(widths, dim=2) for level in levels), strict=True)
        return [torch.cat(part, dim=1) for part in parts]
    parts = zip(*(level.split(widths, dim=1) for level in levels), strict=True)
    return [torch.cat(part, dim=2).transpose(1, 2) for part in parts]
