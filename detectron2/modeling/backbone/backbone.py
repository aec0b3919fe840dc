"""What every backbone offers to the rest of a model."""

from abc import ABCMeta, abstractmethod

from torch import Tensor, nn

from detectron2.layers.shape_spec import ShapeSpec


class Backbone(nn.Module, metaclass=ABCMeta):
    """A network from an image batch to named feature maps.

    Subclasses set ``_out_features`` (names), ``_out_feature_channels`` and ``_out_feature_strides`` (by
    name), or override :meth:`output_shape`.
    """

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def forward(self) -> dict[str, Tensor]:
        """Map ``Tensor[N, C, H, W]`` to feature maps ``Tensor[N, C_i, H_i, W_i]`` by name.

        Subclasses declare the image batch as an argument.
        """

    @property
    def size_divisibility(self) -> int:
        """Heights and widths of images are to be padded to a multiple of this many pixels; 0: any size will do."""
        return 0

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Further wishes on padding: ``"size_divisibility"``, and ``"square_size"`` for a square of that side."""
        return {}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of each feature map by name."""
        return {
            name: ShapeSpec(channels=self._out_feature_channels[name], stride=self._out_feature_strides[name])
            for name in self._out_features
        }
