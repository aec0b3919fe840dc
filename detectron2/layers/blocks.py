"""Building blocks of convolutional backbones."""

from collections.abc import Callable

from torch import Tensor, nn

from detectron2.layers.batch_norm import FrozenBatchNorm2d, get_norm
from detectron2.layers.wrappers import Conv2d


class CNNBlockBase(nn.Module):
    """A block that maps one feature map to another and says how the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        """
        Args:
            in_channels: channels of the input.
            out_channels: channels of the output.
            stride: input pixels per output pixel.
        """
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride

    def freeze(self) -> "CNNBlockBase":
        """Stop training: no parameter takes gradients, every batch norm becomes a frozen one.

        Returns:
            the block itself.
        """
        self.requires_grad_(False)
        FrozenBatchNorm2d.convert_frozen_batchnorm(self)
        return self


class DepthwiseSeparableConv2d(nn.Module):
    """One filter a channel, then a 1 x 1 convolution across the channels (Xception, section 3)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        padding: int = 1,
        dilation: int = 1,
        *,
        norm1: str | Callable[[int], nn.Module] | None = None,
        activation1: Callable[[Tensor], Tensor] | None = None,
        norm2: str | Callable[[int], nn.Module] | None = None,
        activation2: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels before and after.
            kernel_size, padding, dilation: of the depthwise convolution.
            norm1, activation1: behind the depthwise convolution; norms as ``get_norm`` takes them.
            norm2, activation2: behind the pointwise one.
        """
        super().__init__()
        self.depthwise = Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            bias=not norm1,
            norm=get_norm(norm1, in_channels),
            activation=activation1,
        )
        self.pointwise = Conv2d(
            in_channels,
            out_channels,
            1,
            bias=not norm2,
            norm=get_norm(norm2, out_channels),
            activation=activation2,
        )
        for layer in (self.depthwise, self.pointwise):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in_channels, H, W]`` -> ``Tensor[N, out_channels, H', W']``."""
        return self.pointwise(self.depthwise(x))
