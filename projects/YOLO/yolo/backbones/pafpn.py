"""Path aggregation: a second, bottom-up pathway over a feature pyramid (PANet, arXiv:1803.01534, section 3.1)."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from detectron2.layers import Conv2d, get_norm
from detectron2.layers.elementwise import Add
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.backbone.features import feature_shapes
from detectron2.modeling.weight_init import c2_msra_fill

__all__ = ["PAFPN"]


class PAFPN(Backbone):
    """Each map of a pyramid P gets what the next finer one has seen: ``N_2 = P_2``, ``N_i = h(g(N_(i-1)) + P_i)``.

    g is a 3 x 3 convolution of stride 2 and h one of stride 1, both with a ReLU behind. The outputs have the names of
    the maps of the pyramid, "p2", "p3" and so on.

    Attributes:
        pyramid: the pyramid, with the backbone under it.
    """

    def __init__(
        self,
        pyramid: Backbone,
        in_features: Sequence[str] = (),
        norm: str = "",
        top_block: nn.Module | None = None,
    ) -> None:
        """
        Args:
            pyramid: gives maps of equal channels.
            in_features: its maps to use, from fine to coarse, each of twice the stride of the one before; none for all.
            norm: of the convolutions, as for ``get_norm``; with a norm they have no bias.
            top_block: module with ``in_feature``, one of the outputs, and ``num_levels``, which makes coarser maps.

        Raises:
            ValueError: maps that are not there, differ in their channels, or whose strides do not double.
        """
        super().__init__()
        shapes = pyramid.output_shape()
        names = list(in_features or shapes)
        found = feature_shapes(shapes, names, "in_features")
        strides, widths = [shape.stride or 0 for shape in found], {shape.channels or 0 for shape in found}
        if len(widths) != 1 or any(2 * fine != coarse for fine, coarse in zip(strides, strides[1:], strict=False)):
            raise ValueError(
                f"path aggregation needs maps of equal channels whose strides double, got channels "
                f"{[shape.channels for shape in found]} and strides {strides}"
            )
        channels = widths.pop()
        self.pyramid = pyramid
        self.in_features = tuple(names)
        self.downs = nn.ModuleList(_conv(channels, norm, stride=2) for _ in strides[1:])
        self.adds = nn.ModuleList(Add() for _ in strides[1:])
        self.outputs = nn.ModuleList(_conv(channels, norm) for _ in strides[1:])
        self.top_block = top_block
        first = int(math.log2(strides[0]))
        extra = 0 if top_block is None else top_block.num_levels
        levels = range(first, first + len(strides) + extra)
        self._out_features = [f"p{level}" for level in levels]
        self._out_feature_strides = {f"p{level}": 2**level for level in levels}
        self._out_feature_channels = dict.fromkeys(self._out_features, channels)
        self._size_divisibility = max(pyramid.size_divisibility, strides[-1])

    @property
    def size_divisibility(self) -> int:
        """The coarsest stride that is aggregated, in pixels."""
        return self._size_divisibility

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Those of the pyramid."""
        return self.pyramid.padding_constraints

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Feature maps ``Tensor[N, channels, H / stride, W / stride]`` of ``Tensor[N, C, H, W]``, by name."""
        maps = self.pyramid(x)
        paths = [maps[self.in_features[0]]]
        steps = zip(self.in_features[1:], self.downs, self.adds, self.outputs, strict=True)
        for name, down, add, output in steps:
            paths.append(output(add(down(paths[-1]), maps[name])))
        found = dict(zip(self._out_features, paths, strict=False))
        if self.top_block is not None:
            extra = self.top_block(found[self.top_block.in_feature])
            found.update(zip(self._out_features[len(paths) :], extra, strict=True))
        return found


def _conv(channels: int, norm: str, stride: int = 1) -> Conv2d:
    conv = Conv2d(
        channels,
        channels,
        3,
        stride=stride,
        padding=1,
        bias=norm == "",
        norm=get_norm(norm, channels),
        activation=nn.ReLU(inplace=True),
    )
    c2_msra_fill(conv)
    return conv
