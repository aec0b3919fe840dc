"""From raw predictions to boxes and scores.

Layout of the raw predictions ``Tensor[N, C, H, W]`` of a level with stride s, K classes, for each kind of head:

=================  =====================================================================================================
anchor_free_dfl    ``4 * R`` logits (left, top, right, bottom; R bins each, in cells), then K class logits
end_to_end         the same; with R = 1 the four numbers are the distances themselves, in cells
yolox              x, y (offsets in cells), w, h (logarithms, in cells), logit of the objectness, K class logits
anchor_based       for each of A anchors: logits of x, y, w, h (``exponential``: logarithms of w, h in anchors), of the
                   objectness, and K class logits
=================  =====================================================================================================

Decoded predictions of all levels stand one after the other: level, (anchor,) row, column.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .heads.base import Anchors, DetectionHead


def decode(head: DetectionHead, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes and scores of raw predictions.

    Args:
        head: tells the layout.
        raw: ``Tensor[N, C, H, W]`` for each level; auxiliary predictions behind them are left alone.

    Returns:
        boxes ``Tensor[N, P, 4]`` (x1, y1, x2, y2 in pixels, not clipped) and scores ``Tensor[N, P, K]`` in 0..1.
    """
    levels = list(raw)[: len(head.strides)]
    if head.head_kind == "yolox":
        return decode_yolox(levels, head.strides)
    if head.head_kind == "anchor_based":
        assert head.anchors is not None
        return decode_anchor_based(levels, head.strides, head.anchors, head.exponential)
    assert head.reg_max is not None
    return decode_anchor_free(levels, head.strides, head.reg_max)


def decode_anchor_free(raw: Sequence[Tensor], strides: Sequence[int], reg_max: int) -> tuple[Tensor, Tensor]:
    """Boxes and scores of an anchor-free head (Generalized Focal Loss, equations 3 and 5).

    Args:
        raw: ``Tensor[N, 4 * reg_max + K, H, W]`` for each level.
        strides: input pixels per cell, for each level.
        reg_max: bins of a box side; 1 if the raw numbers are the distances.

    Returns:
        as :func:`decode`.
    """
    boxes, scores = [], []
    for level, stride in zip(raw, strides, strict=True):
        sides, classes = level.flatten(2).split([4 * reg_max, level.shape[1] - 4 * reg_max], 1)
        distances = box_distances(sides, reg_max)
        centers = cell_corners(level) + 0.5
        left_top, right_bottom = distances.transpose(1, 2).chunk(2, 2)
        boxes.append(torch.cat([centers - left_top, centers + right_bottom], 2) * stride)
        scores.append(classes.transpose(1, 2).sigmoid())
    return torch.cat(boxes, 1), torch.cat(scores, 1)


def box_distances(sides: Tensor, reg_max: int) -> Tensor:
    """``Tensor[N, 4 * reg_max, P]`` of logits -> ``Tensor[N, 4, P]``, the expected distances in cells."""
    if reg_max == 1:
        return sides
    probabilities = sides.unflatten(1, (4, reg_max)).softmax(2)
    bins = torch.arange(reg_max, dtype=sides.dtype, device=sides.device)
    return (probabilities * bins[:, None]).sum(2)


def decode_yolox(raw: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Boxes and scores of a YOLOX head (YOLOX, section 2.1); a score is objectness times class.

    Args:
        raw: ``Tensor[N, 5 + K, H, W]`` for each level.
        strides: input pixels per cell, for each level.

    Returns:
        as :func:`decode`.
    """
    boxes, scores = [], []
    for level, stride in zip(raw, strides, strict=True):
        x = level.flatten(2).transpose(1, 2)
        center, half = x[..., :2] + cell_corners(level), x[..., 2:4].exp() / 2
        boxes.append(torch.cat([center - half, center + half], 2) * stride)
        scores.append(x[..., 4:5].sigmoid() * x[..., 5:].sigmoid())
    return torch.cat(boxes, 1), torch.cat(scores, 1)


def decode_anchor_based(
    raw: Sequence[Tensor], strides: Sequence[int], anchors: Anchors, exponential: bool = False
) -> tuple[Tensor, Tensor]:
    """Boxes and scores of an anchor-based head; a score is objectness times class.

    With p the sigmoid of a logit: center ``(2 p - 0.5 + cell) * stride``, size ``(2 p)^2 * anchor`` (Scaled-YOLOv4);
    or, for a raw size t, ``(p + cell) * stride`` and ``exp(t) * anchor`` (YOLOv3, section 2.1).

    Args:
        raw: ``Tensor[N, A * (5 + K), H, W]`` for each level.
        strides: input pixels per cell, for each level.
        anchors: width and height in pixels, for each level and anchor.
        exponential: the second form.

    Returns:
        as :func:`decode`.
    """
    boxes, scores = [], []
    for level, stride, shapes in zip(raw, strides, anchors, strict=True):
        sizes = level.new_tensor(shapes)[:, None]
        logits = level.unflatten(1, (len(shapes), -1)).flatten(3).transpose(2, 3)
        x = logits.sigmoid()
        offset = x[..., :2] if exponential else x[..., :2] * 2 - 0.5
        center = (offset + cell_corners(level)) * stride
        half = (logits[..., 2:4].exp() if exponential else (x[..., 2:4] * 2).square()) * sizes / 2
        boxes.append(torch.cat([center - half, center + half], 3).flatten(1, 2))
        scores.append((x[..., 4:5] * x[..., 5:]).flatten(1, 2))
    return torch.cat(boxes, 1), torch.cat(scores, 1)


def cell_corners(level: Tensor) -> Tensor:
    """Column and row of each cell of a map ``Tensor[N, C, H, W]``: ``Tensor[H * W, 2]``."""
    height, width = level.shape[-2:]
    rows = torch.arange(height, dtype=level.dtype, device=level.device)
    columns = torch.arange(width, dtype=level.dtype, device=level.device)
    grid = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([grid[1].flatten(), grid[0].flatten()], 1)
