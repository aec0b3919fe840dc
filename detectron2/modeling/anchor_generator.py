"""Reference boxes laid out over the cells of feature maps."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from fvcore.common.registry import Registry
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers.shape_spec import ShapeSpec
from detectron2.layers.wrappers import move_device_like
from detectron2.structures.boxes import Boxes
from detectron2.utils.registry import registered

ANCHOR_GENERATOR_REGISTRY = Registry("ANCHOR_GENERATOR")
ANCHOR_GENERATOR_REGISTRY.__doc__ = """Classes built as ``cls(cfg, input_shape)`` that make anchors of feature maps."""


class BufferList(nn.Module):
    """A list of tensors that move with the module and stay out of its state dict.

    Args:
        buffers: the tensors, registered under their position.
    """

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        super().__init__()
        for position, buffer in enumerate(buffers):
            self.register_buffer(str(position), buffer, persistent=False)

    def __len__(self) -> int:
        return len(self._buffers)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._buffers.values())


@ANCHOR_GENERATOR_REGISTRY.register()
class DefaultAnchorGenerator(nn.Module):
    """Axis-aligned anchors of given sizes and aspect ratios around every feature cell (Faster R-CNN, 3.1.1).

    Args:
        sizes: for each level the square roots of the anchors' areas in input pixels; one list, or one list
            in a list, serves all levels.
        aspect_ratios: for each level the ratios height / width, shared in the same way.
        strides: input pixels between neighbouring cells, one a level.
        offset: where in its cell the first anchor's centre lies, in strides, from 0 up to but not including 1.

    Raises:
        ValueError: for an offset out of range or lists that fit no number of levels.
    """

    box_dim: int = 4

    @configurable
    def __init__(
        self,
        *,
        sizes: Sequence[Sequence[float]] | Sequence[float],
        aspect_ratios: Sequence[Sequence[float]] | Sequence[float],
        strides: Sequence[int],
        offset: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0.0 <= offset < 1.0:
            raise ValueError(f"offset (MODEL.ANCHOR_GENERATOR.OFFSET) must lie in [0, 1), got {offset}")
        self.strides = list(strides)
        self.num_features = len(self.strides)
        self.offset = offset
        sizes = _broadcast_params(sizes, self.num_features, "sizes")
        aspect_ratios = _broadcast_params(aspect_ratios, self.num_features, "aspect_ratios")
        self.cell_anchors = self._calculate_anchors(sizes, aspect_ratios)

    @classmethod
    def from_config(cls, cfg: Any, input_shape: list[ShapeSpec]) -> dict[str, Any]:
        """Read ``MODEL.ANCHOR_GENERATOR``; strides come from ``input_shape``."""
        settings = cfg.MODEL.ANCHOR_GENERATOR
        return {
            "sizes": settings.SIZES,
            "aspect_ratios": settings.ASPECT_RATIOS,
            "strides": [shape.stride for shape in input_shape],
            "offset": settings.OFFSET,
        }

    @property
    def num_cell_anchors(self) -> list[int]:
        """Number of anchors in each cell, for each level."""
        return self.num_anchors

    @property
    def num_anchors(self) -> list[int]:
        """Number of anchors in each cell, for each level."""
        return [len(anchors) for anchors in self.cell_anchors]

    def generate_cell_anchors(
        self, sizes: Sequence[float] = (32, 64, 128, 256, 512), aspect_ratios: Sequence[float] = (0.5, 1, 2)
    ) -> Tensor:
        """Anchors ``Tensor[len(sizes) * len(aspect_ratios), 4]`` around the origin, XYXY in input pixels.

        Args:
            sizes: square roots of the areas; the slower index of the result.
            aspect_ratios: ratios height / width; the faster index.
        """
        half_sides = [
            (0.5 * size / math.sqrt(ratio), 0.5 * size * math.sqrt(ratio)) for size in sizes for ratio in aspect_ratios
        ]
        upper = torch.tensor(half_sides, dtype=torch.float32).reshape(-1, 2)
        return torch.cat((-upper, upper), dim=1)

    def forward(self, features: list[Tensor]) -> list[Boxes]:
        """Anchors of all cells.

        Args:
            features: ``Tensor[N, C_l, H_l, W_l]`` for each level; only the spatial sizes are used.

        Returns:
            for each level ``Boxes`` of H_l * W_l * A_l anchors, shared by all images; the cell's row is the
            slowest index, the anchor within the cell the fastest.
        """
        anchors = self._grid_anchors([feature.shape[-2:] for feature in features])
        return [Boxes(move_device_like(level, feature)) for level, feature in zip(anchors, features, strict=True)]

    def _calculate_anchors(
        self, sizes: Sequence[Sequence[float]], aspect_ratios: Sequence[Sequence[float]]
    ) -> BufferList:
        levels = zip(sizes, aspect_ratios, strict=True)
        return BufferList([self.generate_cell_anchors(level, ratios).float() for level, ratios in levels])

    def _grid_anchors(self, grid_sizes: list[Sequence[int]]) -> list[Tensor]:
        levels = zip(grid_sizes, self.strides, self.cell_anchors, strict=True)
        return [self._level_anchors(size, stride, cell) for size, stride, cell in levels]

    def _level_anchors(self, grid_size: Sequence[int], stride: int, cell: Tensor) -> Tensor:
        x, y = _create_grid_offsets(grid_size, stride, self.offset, cell)
        centres = torch.stack((x, y, x, y), dim=1)
        return (centres.unsqueeze(1) + cell).reshape(-1, self.box_dim)


def _broadcast_params(params: Sequence, num_features: int, name: str) -> list[Sequence[float]]:
    """One list of values for each level, from such lists, a single one, or plain values."""
    if not isinstance(params, Sequence) or len(params) == 0:
        raise ValueError(f"{name} of the anchor generator must be a list that is not empty, got {params!r}")
    per_level = list(params) if isinstance(params[0], Sequence) else [params]
    if len(per_level) == 1:
        per_level = per_level * num_features
    if len(per_level) != num_features:
        raise ValueError(f"{name} of the anchor generator has {len(per_level)} lists for {num_features} feature maps")
    return per_level


def _create_grid_offsets(
    size: Sequence[int], stride: int, offset: float, target_device_tensor: Tensor
) -> tuple[Tensor, Tensor]:
    """x and y of the cells' centres in input pixels, each ``Tensor[H * W]``, for a ``size`` of (rows, columns)."""
    rows, columns = size
    device = target_device_tensor.device
    y = (torch.arange(rows, dtype=torch.float32, device=device) + offset) * stride
    x = (torch.arange(columns, dtype=torch.float32, device=device) + offset) * stride
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return grid_x.reshape(-1), grid_y.reshape(-1)


def build_anchor_generator(cfg: Any, input_shape: list[ShapeSpec]) -> nn.Module:
    """Build the generator that ``MODEL.ANCHOR_GENERATOR.NAME`` names, for feature maps of these shapes."""
    return registered(ANCHOR_GENERATOR_REGISTRY, cfg.MODEL.ANCHOR_GENERATOR.NAME, "MODEL.ANCHOR_GENERATOR.NAME")(
        cfg, input_shape
    )
