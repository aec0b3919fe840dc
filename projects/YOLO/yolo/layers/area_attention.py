"""Self-attention within areas of a feature map (YOLOv12, section 3.2)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from detectron2.layers import Concat
from detectron2.layers.elementwise import Add

from .attention import attend
from .c3k2 import c3_of_two
from .conv import conv_bn_act

HEAD_CHANNELS = 32


class AreaAttention(nn.Module):
    """Attention among the pixels of each of several areas: bands of rows, one below the other."""

    def __init__(self, channels: int, *, num_heads: int, areas: int = 1) -> None:
        """
        Args:
            channels: of input and output; a multiple of ``num_heads``.
            num_heads: number of heads.
            areas: number of areas, which must divide the number of pixels.
        """
        super().__init__()
        self.num_heads, self.areas = num_heads, areas
        self.queries_keys_values = conv_bn_act(channels, 3 * channels, activation=None)
        self.position = conv_bn_act(channels, channels, kernel_size=7, groups=channels, activation=None)
        self.add = Add()
        self.project = conv_bn_act(channels, channels, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        flat = self.queries_keys_values(x).flatten(2).unflatten(1, (self.num_heads, -1))
        by_area = flat.unflatten(3, (self.areas, -1)).transpose(2, 3)
        query, key, value = by_area.chunk(3, 3)
        # Step by step: in a single reshape the exported graph would depend on the size of its example.
        attended, values = (
            part.transpose(2, 3).flatten(3).reshape(x.shape) for part in (attend(query, key, value), value)
        )
        return self.project(self.add(attended, self.position(values)))


class AreaBlock(nn.Module):
    """Area attention and a two-layer perceptron of each pixel, each with a connection around it."""

    def __init__(self, channels: int, *, areas: int, perceptron_ratio: float) -> None:
        """
        Args:
            channels: of input and output; one head for every 32.
            areas: as of :class:`AreaAttention`.
            perceptron_ratio: hidden channels of the perceptron as a multiple of ``channels``.
        """
        super().__init__()
        hidden = int(channels * perceptron_ratio)
        self.attention = AreaAttention(channels, num_heads=channels // HEAD_CHANNELS, areas=areas)
        self.add_attention = Add()
        self.perceptron = nn.Sequential(conv_bn_act(channels, hidden), conv_bn_act(hidden, channels, activation=None))
        self.add_perceptron = Add()

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        x = self.add_attention(x, self.attention(x))
        return self.add_perceptron(x, self.perceptron(x))


class ResidualELAN(nn.Module):
    """Inner blocks whose outputs are all joined; optionally a scaled connection around them (YOLOv12, section 3.3)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        repeats: int = 1,
        areas: int | None = None,
        residual: bool = False,
        perceptron_ratio: float = 2.0,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            repeats: number of inner blocks.
            areas: an inner block is two area attention blocks with so many areas; None: a :class:`C3`.
            residual: add the input to the output, which is scaled by a learned factor of each channel (0.01 at first).
            perceptron_ratio: as of :class:`AreaBlock`.
        """
        super().__init__()
        hidden = out_channels // 2

        def two_area_blocks(channels: int) -> nn.Module:
            return nn.Sequential(
                *(AreaBlock(channels, areas=areas or 1, perceptron_ratio=perceptron_ratio) for _ in range(2))
            )

        make: Callable[[int], nn.Module] = c3_of_two if areas is None else two_area_blocks
        self.reduce = conv_bn_act(in_channels, hidden)
        self.blocks = nn.ModuleList(make(hidden) for _ in range(repeats))
        self.concat = Concat()
        self.merge = conv_bn_act((1 + repeats) * hidden, out_channels)
        self.scale = nn.Parameter(torch.full((out_channels,), 0.01)) if residual else None
        self.add = Add() if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        parts = [self.reduce(x)]
        for block in self.blocks:
            parts.append(block(parts[-1]))
        y = self.merge(self.concat(parts))
        return y if self.add is None or self.scale is None else self.add(x, y * self.scale[:, None, None])
