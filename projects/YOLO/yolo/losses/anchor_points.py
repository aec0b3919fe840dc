"""Centres of the cells of a feature pyramid."""

from collections.abc import Sequence

import torch
from torch import Tensor


def anchor_points(
    shapes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Centre of every cell, level by level and row by row: ``((column + 1/2) s, (row + 1/2) s)``.

    Args:
        shapes: (height, width) of each level, in cells.
        strides: size of a cell of each level, in pixels.
        device: of the result.

    Returns:
        Points ``Tensor[A, 2]`` (x, y) in pixels and the stride of each, ``Tensor[A, 1]``.

    Raises:
        ValueError: as many shapes as strides are needed.
    """
    if len(shapes) != len(strides):
        raise ValueError(f"{len(shapes)} levels of predictions for {len(strides)} strides {tuple(strides)}")
    points, steps = [], []
    for (height, width), stride in zip(shapes, strides, strict=True):
        rows = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
        columns = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
        grid_y, grid_x = torch.meshgrid(rows, columns, indexing="ij")
        points.append(torch.stack((grid_x, grid_y), dim=-1).reshape(-1, 2))
        steps.append(torch.full((height * width, 1), float(stride), device=device))
    return torch.cat(points), torch.cat(steps)
