"""Atrous spatial pyramid pooling."""

from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectron2.layers.batch_norm import get_norm
from detectron2.layers.blocks import DepthwiseSeparableConv2d
from detectron2.layers.wrappers import Conv2d


class ASPP(nn.Module):
    """Looks at a feature map through several dilations and its mean at once (DeepLabv3, section 3.3)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dilations: list[int],
        *,
        norm: str | Callable[[int], nn.Module],
        activation: Callable[[Tensor], Tensor],
        pool_kernel_size: tuple[int, int] | None = None,
        dropout: float = 0.0,
        use_depthwise_separable_conv: bool = False,
    ) -> None:
        """
        Args:
            in_channels, out_channels: channels before and after; each branch has the latter.
            dilations: three of them, one for each 3 x 3 branch.
            norm: as ``get_norm`` takes it; the pooling branch has none, as it may see a single pixel.
            activation: behind every convolution; a module is copied for each.
            pool_kernel_size: height and width of the pooling window; None pools over the whole map.
            dropout: probability to drop an output.
            use_depthwise_separable_conv: whether the 3 x 3 branches are depthwise separable.

        Raises:
            ValueError: another number of dilations.
        """
        super().__init__()
        if len(dilations) != 3:
            raise ValueError(f"ASPP takes three dilations, got {list(dilations)}")
        self.pool_kernel_size = pool_kernel_size
        self.dropout = dropout

        def conv(inputs: int, kernel_size: int, dilation: int = 1, normalise: bool = True) -> Conv2d:
            layer = Conv2d(
                inputs,
                out_channels,
                kernel_size,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
                bias=not (norm and normalise),
                norm=get_norm(norm, out_channels) if normalise else None,
                activation=deepcopy(activation),
            )
            nn.init.kaiming_uniform_(layer.weight, a=1)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            return layer

        def separable(dilation: int) -> DepthwiseSeparableConv2d:
            copies = {"norm1": norm, "activation1": deepcopy(activation)}
            copies |= {"norm2": norm, "activation2": deepcopy(activation)}
            return DepthwiseSeparableConv2d(in_channels, out_channels, 3, dilation, dilation, **copies)

        pool = nn.AdaptiveAvgPool2d(1) if pool_kernel_size is None else nn.AvgPool2d(pool_kernel_size, stride=1)
        self.convs = nn.ModuleList([conv(in_channels, 1)])
        self.convs.extend(separable(d) if use_depthwise_separable_conv else conv(in_channels, 3, d) for d in dilations)
        self.convs.append(nn.Sequential(pool, conv(in_channels, 1, normalise=False)))
        self.project = conv(len(self.convs) * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in_channels, H, W]`` -> ``Tensor[N, out_channels, H, W]``.

        Raises:
            ValueError: training on a map that the pooling window does not tile.
        """
        size = x.shape[-2:]
        window = self.pool_kernel_size
        if self.training and window is not None and (size[0] % window[0] or size[1] % window[1]):
            raise ValueError(f"ASPP: pool_kernel_size {window} does not divide the input's size {tuple(size)}")
        branches = [branch(x) for branch in self.convs]
        branches[-1] = F.interpolate(branches[-1], size=size, mode="bilinear", align_corners=False)
        x = self.project(torch.cat(branches, dim=1))
        return F.dropout(x, self.dropout, training=self.training) if self.dropout > 0 else x
