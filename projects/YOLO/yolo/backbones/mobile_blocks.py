"""What the MobileNets are made of: inverted residual blocks, squeeze-and-excitation, convolutions with norms."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from detectron2.layers import Conv2d, get_norm
from detectron2.layers.elementwise import Add
from detectron2.modeling.weight_init import c2_msra_fill

__all__ = ["BlockSettings", "InvertedResidual", "SqueezeExcitation", "mobile_conv", "rounded_channels"]


def rounded_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to a number of channels, but no less than nine tenths of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def mobile_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    norm: str = "BN",
    activation: Callable[[], nn.Module] | None = None,
) -> Conv2d:
    """A convolution that keeps the size of the map at stride 1, with its norm and activation.

    Args:
        in_channels, out_channels, kernel_size, stride, groups: as for ``torch.nn.Conv2d``.
        norm: as for ``get_norm``.
        activation: makes the activation; None for none.
    """
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=norm == "",
        norm=get_norm(norm, out_channels),
        activation=None if activation is None else activation(),
    )
    c2_msra_fill(conv)
    return conv


class SqueezeExcitation(nn.Module):
    """Scales every channel by a number from 0 to 1 that the means of all channels decide (MobileNetV3, section 5.3)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        """
        Args:
            channels: of the map.
            squeezed: channels between the two layers.
        """
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = Conv2d(channels, squeezed, 1, activation=nn.ReLU(inplace=True))
        self.excite = Conv2d(squeezed, channels, 1, activation=nn.Hardsigmoid(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` -> the same shape."""
        return x * self.excite(self.squeeze(self.pool(x)))


@dataclass(frozen=True)
class BlockSettings:
    """One inverted residual block.

    Attributes:
        expanded: channels between expansion and projection; as many as of the input: no expansion.
        channels: of the output.
        kernel_size, stride: of the depthwise convolution.
        activation: makes the activation behind expansion and depthwise convolution.
        squeezed: channels of the squeeze-and-excitation behind the depthwise convolution; 0 for none.
        norm: as for ``get_norm``.
    """

    expanded: int
    channels: int
    kernel_size: int
    stride: int
    activation: Callable[[], nn.Module]
    squeezed: int = 0
    norm: str = "BN"


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection and, where shapes allow it, the input added (MobileNetV2)."""

    def __init__(self, in_channels: int, settings: BlockSettings) -> None:
        """
        Args:
            in_channels: channels of the input.
            settings: the rest.
        """
        super().__init__()
        expanded, norm, activation = settings.expanded, settings.norm, settings.activation
        self.expand = (
            mobile_conv(in_channels, expanded, 1, norm=norm, activation=activation) if expanded != in_channels else None
        )
        self.depthwise = mobile_conv(
            expanded,
            expanded,
            settings.kernel_size,
            stride=settings.stride,
            groups=expanded,
            norm=norm,
            activation=activation,
        )
        self.excitation = SqueezeExcitation(expanded, settings.squeezed) if settings.squeezed else None
        self.project = mobile_conv(expanded, settings.channels, 1, norm=norm)
        self.add = Add() if settings.stride == 1 and in_channels == settings.channels else None

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in, H, W]`` -> ``Tensor[N, out, H / stride, W / stride]``."""
        y = self.depthwise(x if self.expand is None else self.expand(x))
        y = self.project(y if self.excitation is None else self.excitation(y))
        return y if self.add is None else self.add(x, y)
