"""A backbone that is one chain of blocks, some of whose outputs are feature maps."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from detectron2.modeling.backbone import Backbone

__all__ = ["StagedBackbone", "stage_name"]


def stage_name(stride: int) -> str:
    """The name of the feature map of a stride, "res5" for 32: as residual networks have it, for bodies to be swapped.

    Raises:
        ValueError: a stride that is no power of 2.
    """
    if stride < 1 or stride & (stride - 1):
        raise ValueError(f"a feature map with stride {stride}, which is no power of 2, has no name here")
    return f"res{stride.bit_length() - 1}"


class StagedBackbone(Backbone):
    """Blocks one after the other.

    Attributes:
        layers: the blocks, up to the last one that a wanted feature map needs.
    """

    def __init__(
        self, layers: Sequence[nn.Module], ends: Mapping[str, tuple[int, int, int]], out_features: Sequence[str]
    ) -> None:
        """
        Args:
            layers: the blocks.
            ends: for each feature map by name the index of its block, its channels and its stride.
            out_features: the names of those wanted.

        Raises:
            ValueError: no name, or one that there is no feature map for.
        """
        super().__init__()
        unknown = [name for name in out_features if name not in ends]
        if unknown or not out_features:
            raise ValueError(f"MODEL.YOLO.BACKBONE.OUT_FEATURES is {list(out_features)}; allowed are {', '.join(ends)}")
        wanted = sorted(out_features, key=lambda name: ends[name][0])
        self._ends = {ends[name][0]: name for name in wanted}
        self.layers = nn.ModuleList(layers[: max(self._ends) + 1])
        self._out_features = wanted
        self._out_feature_channels = {name: ends[name][1] for name in wanted}
        self._out_feature_strides = {name: ends[name][2] for name in wanted}

    @property
    def size_divisibility(self) -> int:
        """The largest stride, in pixels: the maps of all levels are then in step."""
        return max(self._out_feature_strides.values())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Feature maps ``Tensor[N, C_i, H / stride, W / stride]`` of ``Tensor[N, C, H, W]``, by name."""
        found = {}
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self._ends:
                found[self._ends[index]] = x
        return found
