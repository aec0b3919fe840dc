"""Self-attention over all pixels of a small feature map (YOLOv10, section 3.2, partial self-attention)."""

import math

from torch import Tensor, nn

from detectron2.layers import Concat
from detectron2.layers.elementwise import Add

from .conv import conv_bn_act

HEAD_CHANNELS = 64


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention with the positions last (Attention Is All You Need, equation 1).

    Args:
        query, key: ``Tensor[..., E, P]``.
        value: ``Tensor[..., V, P]``.

    Returns:
        ``Tensor[..., V, P]``.
    """
    weights = (query.transpose(-2, -1) @ key / math.sqrt(query.shape[-2])).softmax(-1)
    return value @ weights.transpose(-2, -1)


class PositionalAttention(nn.Module):
    """Attention whose values also pass a depthwise convolution, which tells positions apart."""

    def __init__(self, channels: int, *, num_heads: int, key_ratio: float = 0.5) -> None:
        """
        Args:
            channels: of input and output; a multiple of ``num_heads``.
            num_heads: number of heads.
            key_ratio: channels of a key as a fraction of those of a value.
        """
        super().__init__()
        self.num_heads = num_heads
        self.value_channels = channels // num_heads
        self.key_channels = int(self.value_channels * key_ratio)
        width = (2 * self.key_channels + self.value_channels) * num_heads
        self.queries_keys_values = conv_bn_act(channels, width, activation=None)
        self.position = conv_bn_act(channels, channels, kernel_size=3, groups=channels, activation=None)
        self.add = Add()
        self.project = conv_bn_act(channels, channels, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        per_head = self.queries_keys_values(x).flatten(2).unflatten(1, (self.num_heads, -1))
        query, key, value = per_head.split([self.key_channels, self.key_channels, self.value_channels], 2)
        attended = attend(query, key, value).reshape(x.shape)
        return self.project(self.add(attended, self.position(value.reshape(x.shape))))


class AttentionBlock(nn.Module):
    """Attention and a two-layer perceptron of each pixel, each with a connection around it."""

    def __init__(self, channels: int) -> None:
        """
        Args:
            channels: of input and output; one head for every 64, but at least one.
        """
        super().__init__()
        self.attention = PositionalAttention(channels, num_heads=max(channels // HEAD_CHANNELS, 1))
        self.add_attention = Add()
        self.perceptron = nn.Sequential(
            conv_bn_act(channels, 2 * channels), conv_bn_act(2 * channels, channels, activation=None)
        )
        self.add_perceptron = Add()

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> ``Tensor[N, C, H, W]``."""
        x = self.add_attention(x, self.attention(x))
        return self.add_perceptron(x, self.perceptron(x))


class C2PSA(nn.Module):
    """One half of the channels runs through attention blocks, the other goes past them."""

    def __init__(self, in_channels: int, out_channels: int, *, repeats: int = 1) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output, an even number.
            repeats: number of attention blocks.
        """
        super().__init__()
        hidden = out_channels // 2
        self.expand = conv_bn_act(in_channels, 2 * hidden)
        self.blocks = nn.Sequential(*(AttentionBlock(hidden) for _ in range(repeats)))
        self.concat = Concat()
        self.merge = conv_bn_act(2 * hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        past, through = self.expand(x).chunk(2, 1)
        return self.merge(self.concat([past, self.blocks(through)]))
