"""Anchors by shape, cells by nearness: the assignment of YOLOv5 and, before OTA, of YOLOv7 (2207.02696)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..losses.targets import Targets

# Cells beside the one that holds an object's centre: itself, left, above, right, below; (x, y).
_NEIGHBOURS = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))


@dataclass(frozen=True)
class AnchorMatches:
    """P pairs of a prediction and an object on one level. A prediction may stand in several pairs.

    Args:
        image: ``Tensor[P]``, int64, like all indices here.
        anchor: ``Tensor[P]``, index of the level's anchor.
        row: ``Tensor[P]``, of the cell.
        column: ``Tensor[P]``, of the cell.
        target: ``Tensor[P]``, row of the object in ``Targets.flat()``.
        sizes: ``Tensor[P, 2]``, width and height of the anchor in cells.
        stride: pixels a cell.
        exponential: how raw numbers become boxes, see :meth:`decode`.
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    target: Tensor
    sizes: Tensor
    stride: int
    exponential: bool = False

    def select(self, keep: Tensor, target: Tensor) -> "AnchorMatches":
        """Some of the pairs, with other objects.

        Args:
            keep: ``Tensor[Q]``, indices into the pairs.
            target: ``Tensor[Q]``, the object of each kept pair.

        Returns:
            Q pairs.
        """
        picked = {name: getattr(self, name)[keep] for name in ("image", "anchor", "row", "column", "sizes")}
        return replace(self, target=target, **picked)

    def outputs(self, level: Tensor) -> Tensor:
        """The predictions of the pairs.

        Args:
            level: ``Tensor[N, anchors, H, W, C]``.

        Returns:
            ``Tensor[P, C]``.
        """
        return level[self.image, self.anchor, self.row, self.column]

    def cells(self) -> Tensor:
        """First corner (x, y) of each pair's cell, ``Tensor[P, 2]``, in cells."""
        return torch.stack((self.column, self.row), dim=1)

    def boxes(self, gt_boxes: Tensor) -> Tensor:
        """Objects as seen from their cells.

        Args:
            gt_boxes: ``Tensor[T, 4]``, corners in pixels, from ``Targets.flat()``.

        Returns:
            ``Tensor[P, 4]``, corners in cells relative to the cell's first corner.
        """
        return gt_boxes[self.target] / self.stride - self.cells().repeat(1, 2)

    def decode(self, raw: Tensor) -> Tensor:
        """``centre = 2 sigmoid(t) - 1/2`` from the cell's corner, ``size = (2 sigmoid(t))^2 anchor``.

        Or, if ``exponential``, ``centre = sigmoid(t)``, ``size = exp(t) anchor``.

        Args:
            raw: ``Tensor[P, 4]``, box outputs of the pairs.

        Returns:
            ``Tensor[P, 4]``, corners in cells relative to the cell's first corner.
        """
        if self.exponential:
            centre, half = raw[:, :2].sigmoid(), raw[:, 2:].exp() * self.sizes / 2
        else:
            twice = 2 * raw.sigmoid()
            centre, half = twice[:, :2] - 0.5, twice[:, 2:].square() * self.sizes / 2
        return torch.cat((centre - half, centre + half), dim=1)


@dataclass(frozen=True)
class AnchorMatcher:
    """Pair every object with anchors of like shape in the cells nearest to its centre.

    An anchor fits when ``max(r, 1/r) < ratio`` for the ratios r of both sides. It is taken in the cell that holds the
    object's centre and in the neighbours whose border lies within ``reach`` of the centre. A centre exactly on a border
    has its own cell twice, which weighs it double, as in the published code.

    Args:
        anchors: per level (width, height) of each anchor, in pixels.
        strides: pixels a cell of each level.
        ratio: largest ratio of sides.
        reach: distance to the border in cells below which the neighbour is taken too: 0 takes none, 0.5 the nearest
            neighbour in x and in y, 1 all four.
        exponential: how raw numbers become boxes, see :meth:`AnchorMatches.decode`. Centres do not leave their cell
            then, so that ``reach`` should be 0.

    Raises:
        ValueError: as many levels of anchors as strides are needed; ``ratio`` above 1.
    """

    anchors: Sequence[Sequence[tuple[float, float]]]
    strides: Sequence[int]
    ratio: float = 4.0
    reach: float = 0.5
    exponential: bool = False

    def __post_init__(self) -> None:
        if len(self.anchors) != len(self.strides):
            raise ValueError(f"{len(self.anchors)} levels of anchors for {len(self.strides)} strides")
        if self.ratio <= 1:
            raise ValueError(f"ratio is {self.ratio}; it must be above 1")

    @torch.no_grad()
    def __call__(self, targets: Targets, shapes: Sequence[tuple[int, int]]) -> tuple[AnchorMatches, ...]:
        """Pairs of one batch.

        Args:
            targets: the objects.
            shapes: (height, width) of each level, in cells.

        Returns:
            The pairs of each level: the centre's cells, then those left, above, right and below, each by anchor and
            object.

        Raises:
            ValueError: another number of levels.
        """
        if len(shapes) != len(self.strides):
            raise ValueError(f"{len(shapes)} levels of predictions for {len(self.strides)} strides")
        return tuple(self._level(targets, *each) for each in zip(self.anchors, self.strides, shapes, strict=True))

    def _level(
        self, targets: Targets, anchors: Sequence[tuple[float, float]], stride: int, shape: tuple[int, int]
    ) -> AnchorMatches:
        image, _, boxes = targets.flat()
        boxes = boxes / stride
        sizes = boxes.new_tensor(anchors) / stride
        ratio = (boxes[:, 2:] - boxes[:, :2]) / sizes.unsqueeze(1)
        anchor, target = (torch.maximum(ratio, 1 / ratio).amax(dim=2) < self.ratio).nonzero(as_tuple=True)
        centre = ((boxes[:, :2] + boxes[:, 2:]) / 2)[target]
        limit = centre.new_tensor((shape[1], shape[0]))
        near = (centre % 1 < self.reach) & (centre > 1)
        far_side = limit - centre
        far = (far_side % 1 < self.reach) & (far_side > 1)
        taken = torch.stack((torch.ones_like(near[:, 0]), near[:, 0], near[:, 1], far[:, 0], far[:, 1]))
        neighbour, pair = taken.nonzero(as_tuple=True)
        step = torch.tensor(_NEIGHBOURS, device=boxes.device)[neighbour]
        cell = (centre[pair] + step * self.reach).long()
        column = cell[:, 0].clamp(0, shape[1] - 1)
        row = cell[:, 1].clamp(0, shape[0] - 1)
        anchor, target = anchor[pair], target[pair]
        return AnchorMatches(image[target], anchor, row, column, target, sizes[anchor], stride, self.exponential)
