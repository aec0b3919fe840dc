"""Stem and residual blocks of ResNet (He et al., 2015), ResNeXt and deformable ResNet."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.layers.batch_norm import get_norm
from detectron2.layers.blocks import CNNBlockBase
from detectron2.layers.deform_conv import DeformConv, ModulatedDeformConv
from detectron2.layers.elementwise import Add
from detectron2.layers.wrappers import Conv2d
from detectron2.modeling.weight_init import c2_msra_fill

Norm = str | Callable[[int], nn.Module]


class BasicStem(CNNBlockBase):
    """A 7x7 convolution of stride 2 and a 3x3 max pooling of stride 2.

    Args:
        in_channels, out_channels: channels of input and output.
        norm: name for ``get_norm``, or a callable from channels to a module.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 64, norm: Norm = "BN") -> None:
        super().__init__(in_channels, out_channels, 4)
        self.conv1 = _conv(in_channels, out_channels, 7, norm, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` to ``Tensor[N, out_channels, ceil(H / 4), ceil(W / 4)]``."""
        return F.max_pool2d(F.relu_(self.conv1(x)), kernel_size=3, stride=2, padding=1)


class _ResidualBlock(CNNBlockBase):
    """``relu(branch(x) + shortcut(x))``; the shortcut is a 1x1 convolution only where channels change."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: Norm) -> None:
        super().__init__(in_channels, out_channels, stride)
        if in_channels == out_channels and stride != 1:
            raise ValueError(
                f"a block of stride {stride} from {in_channels} to {out_channels} channels has no shortcut "
                "convolution to bring its input to the size of its output; change the channels or use stride 1"
            )
        self.shortcut = (
            _conv(in_channels, out_channels, 1, norm, stride=stride) if in_channels != out_channels else None
        )

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """``Tensor[N, in_channels, H, W]`` to ``Tensor[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        residual = self.branch(x)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu_(self.add(residual, shortcut))


class BasicBlock(_ResidualBlock):
    """Two 3x3 convolutions (ResNet-18 and 34).

    Args:
        in_channels, out_channels: channels of input and output.
        stride: of the first convolution.
        norm: name for ``get_norm``, or a callable from channels to a module.

    Raises:
        ValueError: for a stride without a change of channels, which leaves nothing to shrink the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, norm: Norm = "BN") -> None:
        super().__init__(in_channels, out_channels, stride, norm)
        self.conv1 = _conv(in_channels, out_channels, 3, norm, stride=stride)
        self.conv2 = _conv(out_channels, out_channels, 3, norm)
        self.add = Add(inplace=True)

    def branch(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu_(self.conv1(x)))


class BottleneckBlock(_ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions (ResNet-50 and deeper; with groups, ResNeXt).

    Args:
        in_channels, out_channels: channels of input and output.
        bottleneck_channels: channels of the 3x3 convolution.
        stride: of the block.
        num_groups: groups of the 3x3 convolution.
        norm: name for ``get_norm``, or a callable from channels to a module.
        stride_in_1x1: whether the first 1x1 convolution strides (original weights) or the 3x3 one.
        dilation: of the 3x3 convolution.

    Raises:
        ValueError: for a stride without a change of channels, which leaves nothing to shrink the shortcut.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        stride: int = 1,
        num_groups: int = 1,
        norm: Norm = "BN",
        stride_in_1x1: bool = False,
        dilation: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, stride, norm)
        first_stride, middle_stride = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = _conv(in_channels, bottleneck_channels, 1, norm, stride=first_stride)
        self._make_middle(bottleneck_channels, norm, stride=middle_stride, groups=num_groups, dilation=dilation)
        self.conv3 = _conv(bottleneck_channels, out_channels, 1, norm)
        self.add = Add(inplace=True)

    def _make_middle(self, channels: int, norm: Norm, **spatial: int) -> None:
        self.conv2 = _conv(channels, channels, 3, norm, **spatial)

    def middle(self, x: Tensor) -> Tensor:
        """The 3x3 convolution."""
        return self.conv2(x)

    def branch(self, x: Tensor) -> Tensor:
        x = F.relu_(self.conv1(x))
        return self.conv3(F.relu_(self.middle(x)))


class DeformBottleneckBlock(BottleneckBlock):
    """A bottleneck whose 3x3 convolution samples at learned offsets (Dai et al.; Zhu et al. with modulation).

    Args:
        in_channels, out_channels, bottleneck_channels, stride, num_groups, norm, stride_in_1x1, dilation:
            as in :class:`BottleneckBlock`.
        deform_modulated: whether each sample also gets a learned weight.
        deform_num_groups: groups of channels with offsets of their own.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        stride: int = 1,
        num_groups: int = 1,
        norm: Norm = "BN",
        stride_in_1x1: bool = False,
        dilation: int = 1,
        deform_modulated: bool = False,
        deform_num_groups: int = 1,
    ) -> None:
        self.deform_modulated = deform_modulated
        self.deform_num_groups = deform_num_groups
        super().__init__(
            in_channels,
            out_channels,
            bottleneck_channels=bottleneck_channels,
            stride=stride,
            num_groups=num_groups,
            norm=norm,
            stride_in_1x1=stride_in_1x1,
            dilation=dilation,
        )

    def _make_middle(self, channels: int, norm: Norm, *, stride: int, groups: int, dilation: int) -> None:
        numbers_a_sample = 3 if self.deform_modulated else 2  # x, y and, with modulation, the weight
        grid = {"kernel_size": 3, "stride": stride, "padding": dilation, "dilation": dilation}
        self.conv2_offset = Conv2d(channels, numbers_a_sample * 9 * self.deform_num_groups, **grid)
        # Zero offsets: training starts from the ordinary convolution.
        nn.init.zeros_(self.conv2_offset.weight)
        nn.init.zeros_(self.conv2_offset.bias)
        self.conv2 = (ModulatedDeformConv if self.deform_modulated else DeformConv)(
            channels,
            channels,
            **grid,
            groups=groups,
            deformable_groups=self.deform_num_groups,
            bias=False,
            norm=get_norm(norm, channels),
        )
        c2_msra_fill(self.conv2)

    def middle(self, x: Tensor) -> Tensor:
        samples = self.conv2_offset(x)
        if not self.deform_modulated:
            return self.conv2(x, samples)
        num_offsets = 2 * 9 * self.deform_num_groups
        offset, mask = samples.split((num_offsets, samples.shape[1] - num_offsets), dim=1)
        return self.conv2(x, offset, mask.sigmoid())


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    norm: Norm,
    *,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
) -> Conv2d:
    """A convolution without bias that keeps the size (stride aside), its norm, and initial weights."""
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        groups=groups,
        bias=False,
        norm=get_norm(norm, out_channels),
    )
    c2_msra_fill(conv)
    return conv
