"""Downsampling by a convolution and by maximum pooling, side by side (YOLOv7)."""

from torch import Tensor, nn

from detectron2.layers import Concat

from .conv import conv_bn_act


class Transition(nn.Module):
    """Half of the output channels come from a convolution with stride 2, half from pooling."""

    def __init__(self, in_channels: int, out_channels: int, *, hidden_channels: int | None = None) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
            hidden_channels: in front of the convolution with stride 2; None for half of ``out_channels``.
        """
        super().__init__()
        half = out_channels // 2
        hidden = hidden_channels or half
        self.pool = nn.MaxPool2d(2, stride=2)
        self.pooled = conv_bn_act(in_channels, half)
        self.reduce = conv_bn_act(in_channels, hidden)
        self.down = conv_bn_act(hidden, half, kernel_size=3, stride=2)
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` with even H and W -> ``Tensor[N, out, H / 2, W / 2]``."""
        return self.concat([self.down(self.reduce(x)), self.pooled(self.pool(x))])


class WideTransition(Transition):
    """:class:`Transition` that keeps all channels in front of the convolution with stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """
        Args:
            in_channels, out_channels: channels of the input and of the output.
        """
        super().__init__(in_channels, out_channels, hidden_channels=in_channels)
