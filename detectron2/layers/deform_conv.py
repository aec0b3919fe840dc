"""Convolutions whose taps move by learned offsets, through ``torchvision.ops.deform_conv2d``."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from detectron2.utils.develop import create_dummy_class, create_dummy_func  # noqa: F401

Size = int | tuple[int, int]


class _DeformConvBase(nn.Module):
    """Weight, settings and forward of both forms."""

    def __init__(
        self,
        channels: tuple[int, int],
        groups: tuple[int, int],
        norm: nn.Module | None,
        activation: Callable[[Tensor], Tensor] | None,
        **sizes: Size,
    ) -> None:
        """
        Args:
            channels: before and after.
            groups: of the convolution, and of channels that share their offsets.
            norm, activation: applied to the output.
            sizes: kernel_size, stride, padding and dilation.

        Raises:
            ValueError: channels that do not divide into the groups.
        """
        super().__init__()
        self.in_channels, self.out_channels = channels
        self.groups, self.deformable_groups = groups
        for side, parts in (("in", "groups"), ("out", "groups"), ("in", "deformable_groups")):
            count, divisor = getattr(self, f"{side}_channels"), getattr(self, parts)
            if count % divisor:
                raise ValueError(f"{type(self).__name__}: {side}_channels {count} does not divide by {parts} {divisor}")
        for name, size in sizes.items():
            setattr(self, name, _pair(size))
        self.norm = norm
        self.activation = activation
        self.weight = nn.Parameter(torch.empty(self.out_channels, self.in_channels // self.groups, *self.kernel_size))
        self.bias: Tensor | None = None

    def _convolve(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        if x.numel() == 0:
            # same shape and same graph as the deformed one, which the native code refuses to compute for no pixels
            x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        else:
            from torchvision.ops import deform_conv2d

            x = deform_conv2d(x, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.activation is None else self.activation(x)

    def extra_repr(self) -> str:
        names = ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation"]
        names += ["groups", "deformable_groups"]
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"{settings}, bias={self.bias is not None}"


class DeformConv(_DeformConvBase):
    """Deformable convolution (Dai et al., Deformable Convolutional Networks, section 2.1)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        deformable_groups: int = 1,
        bias: bool = False,
        norm: nn.Module | None = None,
        activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """
        Args:
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups: as for ``torch.nn.Conv2d``.
            deformable_groups: groups of channels that share their offsets.
            bias: only False; the form with a mask has one.
            norm, activation: applied to the output.

        Raises:
            ValueError: ``bias=True``, or channels that do not divide into the groups.
        """
        super().__init__(
            (in_channels, out_channels),
            (groups, deformable_groups),
            norm,
            activation,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
        )
        if bias:
            raise ValueError("DeformConv has no bias; use ModulatedDeformConv, or a norm")
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """
        Args:
            x: ``Tensor[N, C_in, H, W]``.
            offset: ``Tensor[N, deformable_groups * kh * kw * 2, H', W']``, (dy, dx) of each tap in input pixels.

        Returns:
            ``Tensor[N, C_out, H', W']``.
        """
        return self._convolve(x, offset, None)


class ModulatedDeformConv(_DeformConvBase):
    """Deformable convolution with a weight for each tap (Zhu et al., Deformable ConvNets v2, section 3.2)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        deformable_groups: int = 1,
        bias: bool = True,
        norm: nn.Module | None = None,
        activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Arguments as for ``DeformConv``; ``bias`` may be either."""
        super().__init__(
            (in_channels, out_channels),
            (groups, deformable_groups),
            norm,
            activation,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
        )
        bound = 1 / math.sqrt(in_channels * self.kernel_size[0] * self.kernel_size[1])
        nn.init.uniform_(self.weight, -bound, bound)
        if bias:
            self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """
        Args:
            x: ``Tensor[N, C_in, H, W]``.
            offset: ``Tensor[N, deformable_groups * kh * kw * 2, H', W']``, (dy, dx) of each tap in input pixels.
            mask: ``Tensor[N, deformable_groups * kh * kw, H', W']``, factor of each tap.

        Returns:
            ``Tensor[N, C_out, H', W']``.
        """
        return self._convolve(x, offset, mask)
