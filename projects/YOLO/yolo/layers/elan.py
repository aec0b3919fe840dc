"""Efficient layer aggregation (YOLOv7, section 3.1)."""

from collections.abc import Callable

from torch import Tensor, nn

from detectron2.layers import Concat

from .conv import conv_bn_act, silu


class ELAN(nn.Module):
    """A chain of 3 x 3 convolutions, of which some outputs are joined with the two parts that it began with."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        width: int | None = None,
        depth: int = 4,
        every: int = 2,
        activation: Callable[[], nn.Module] = silu,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            hidden_channels: of each of the two parts at the beginning.
            width: channels of a convolution of the chain; None for ``hidden_channels``.
            depth: convolutions in the chain, a multiple of ``every``.
            every: each so many convolutions an output is joined; 1 for all of them.
            activation: makes the activation of a convolution.
        """
        super().__init__()
        width = width or hidden_channels
        self.every = every
        self.past = conv_bn_act(in_channels, hidden_channels, activation=activation)
        self.enter = conv_bn_act(in_channels, hidden_channels, activation=activation)
        widths = [hidden_channels] + [width] * depth
        self.chain = nn.ModuleList(
            conv_bn_act(before, width, kernel_size=3, activation=activation) for before in widths[:-1]
        )
        self.concat = Concat()
        self.merge = conv_bn_act(2 * hidden_channels + depth // every * width, out_channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H, W]``."""
        parts = [self.past(x), self.enter(x)]
        y = parts[-1]
        for index, conv in enumerate(self.chain):
            y = conv(y)
            if (index + 1) % self.every == 0:
                parts.append(y)
        return self.merge(self.concat(parts[::-1]))
